# SPDX-License-Identifier: GPL-2.0
"""
The netlink family's part of its manual page, out of its YNL spec.
"""

from header import escape


def words(text):
    return escape(" ".join(text.split()))


def names(attributes):
    return ", ".join("*%s*" % name for name in attributes)


def c_name(prefix, name):
    return (prefix + name).upper().replace("-", "_")


def operations(spec):
    out = ""
    for op in spec["operations"]["list"]:
        out += "**%s**\n    %s\n\n" % (c_name("tapxfer-cmd-", op["name"]),
                                       words(op["doc"]))
        parts = [(mode, part) for mode in ("do", "dump") if mode in op
                 for part in ("request", "reply") if part in op[mode]]
        told = None
        for mode, part in parts:
            attrs = op[mode][part]["attributes"]
            out += "    %s: %s\n\n" % (
                "Dump" if mode == "dump" else part.capitalize(),
                "the same" if attrs == told else names(attrs))
            told = attrs
        if "event" in op:
            out += "    To the multicast group **%s**: %s\n\n" % (
                op["mcgrp"], names(op["event"]["attributes"]))
    return out


def attributes(spec):
    out = ""
    for group in spec["attribute-sets"]:
        # the same attributes, nested
        if "subset-of" in group:
            continue
        title = c_name("tapxfer-a-%s-" % group["name"], "*")
        out += "%s\n%s\n\n" % (escape(title), "-" * (len(title) + 2))
        for attr in group["attributes"]:
            if attr["type"] == "pad":
                continue
            what = [attr["type"]]
            if "enum" in attr:
                what.append("enum tapxfer_" + attr["enum"].replace("-", "_"))
            if "nested-attributes" in attr:
                nested = "dev" if attr["name"] == "dev" else attr["nested-attributes"]
                what.append("of " + c_name("tapxfer-a-%s-" % nested, "*"))
            if attr.get("multi-attr"):
                what.append("may be there several times")
            out += "*%s* (%s)\n    %s\n\n" % (
                attr["name"], escape(", ".join(what)), words(attr.get("doc", "\\ ")))
    return out.replace("\\\\ ", "\\ ")


def enums(spec):
    out = ""
    for enum in spec["definitions"]:
        if "entries" not in enum:
            continue
        title = "enum tapxfer_" + enum["name"].replace("-", "_")
        out += "%s\n%s\n\n" % (title, "-" * len(title))
        if "doc" in enum:
            text = words(enum["doc"])
            out += text[0].upper() + text[1:] + ".\n\n"
        value = enum.get("value-start", 0)
        for n, entry in enumerate(enum["entries"]):
            number = 1 << n if enum["type"] == "flags" else value + n
            out += "*%s* (%d)\n    %s\n\n" % (entry["name"], number,
                                            words(entry.get("doc", "")) or "\\ ")
    return out


def texts(spec):
    """What a page may have generated, by its name"""
    return {
        "operations": lambda: operations(spec),
        "attributes": lambda: attributes(spec),
        "enums": lambda: enums(spec),
    }
