# SPDX-License-Identifier: GPL-2.0
"""
Manual pages of the library, out of the comments in its headers.
"""

import re

# One comment and the declaration that follows it
COMMENT = re.compile(r"^/\*\*(.*?)\*/\n(.*?)(?=\n\n|\Z)", re.S | re.M)
SECTION = re.compile(r"^/\* -{20,}\n \* (.+?)\n \*/", re.M)
ENUM = re.compile(r"^enum (\w+) \{.*?^\};", re.S | re.M)
NAME = re.compile(r"(?:(struct|enum|typedef) )?(\w+)(\(\))? - (.+?)(?=\n\n|\n@|\Z)", re.S)

PAGE = """\
{line}
{name}
{line}

{subline}
{short}
{subline}

:Manual section: 3
:Manual group: libtapxfer

SYNOPSIS
========

::

    #include <tapxfer/{header}>

{synopsis}
"""
LINK = "Link with ``pkg-config --cflags --libs libtapxfer``.\n"


def escape(text):
    """Text of a comment: what is markup to docutils is none here."""
    text = re.sub(r"([\\*`|])", r"\\\1", text)
    text = re.sub(r"(\w)_(?!\w)", r"\1\\_", text)
    text = re.sub(r"@(\w+)", r"*\1*", text)
    return re.sub(r"\b(\w+)\(\)", r"**\1**\\ ()", text)


def indent(text, by="    "):
    return "\n".join((by + line).rstrip() for line in text.split("\n"))


class Entry:
    """A documented function or type"""

    def __init__(self, comment, code, header):
        lines = [re.sub(r"^ ?\* ?", "", line).rstrip()
                 for line in comment.strip().split("\n")]
        text = re.sub(r"^\* ?", "", "\n".join(lines)).strip()
        named = NAME.match(text)
        self.code = code.strip()
        self.header = header
        self.kind = self.name = None
        if not named:
            return
        self.kind = named.group(1) or "function"
        self.name = named.group(2)
        self.short = " ".join(named.group(4).split())
        self.params, self.body, self.result, self.threads = [], [], "", ""
        for part in re.split(r"\n(?=@\w+: )|\n\n", text[named.end():].strip()):
            part = part.strip()
            param = re.match(r"@(\w+): (.*)", part, re.S)
            if param:
                self.params.append((param.group(1), " ".join(param.group(2).split())))
            elif part.startswith("Return: "):
                self.result = " ".join(part[8:].split())
            elif part.startswith("Threads: "):
                self.threads = " ".join(part[9:].split())
            elif part:
                self.body.append(" ".join(part.split()))

    def words(self):
        """All that it says, and declares"""
        return " ".join([self.code, self.result] + self.body +
                        [text for _, text in self.params])

    def page(self, see, enums):
        code = "\n\n".join([self.code] + [enum.code for enum in enums])
        rst = PAGE.format(line="=" * len(self.name), name=self.name, header=self.header,
                          subline="-" * len(self.short), short=self.short,
                          synopsis=indent(code.expandtabs(8)))
        if self.kind == "function":
            rst += "\n" + LINK
        rst += "\nDESCRIPTION\n===========\n\n"
        for name, text in self.params:
            rst += "*%s*\n    %s\n\n" % (name, escape(text))
        for text in self.body:
            rst += escape(text) + "\n\n"
        for enum in enums:
            for name, text in enum.params:
                rst += "*%s*\n    %s\n\n" % (name, escape(text))
        if not self.params and not self.body:
            rst += escape(self.short[0].upper() + self.short[1:]) + ".\n\n"
        if self.result:
            rst += "RETURN VALUE\n============\n\n%s\n\n" % escape(
                self.result[0].upper() + self.result[1:])
        if self.threads:
            rst += "THREADS\n=======\n\n%s\n\n" % escape(
                self.threads[0].upper() + self.threads[1:])
        rst += "SEE ALSO\n========\n\n%s\n" % ", ".join(
            "**%s**\\ (%s)" % name for name in see)
        return rst


class Enum:
    """One that may have no comment of its own, or one that is no name"""

    def __init__(self, code, entry):
        self.code = code
        self.params = entry.params if entry else []


class Library:
    """All headers, by name: a section of one is a section here"""

    def __init__(self, headers):
        self.sections = []
        self.enums = {}
        for header, text in headers.items():
            starts = list(SECTION.finditer(text))
            heads = [(header, 0)] + [(m.group(1), m.end()) for m in starts]
            ends = [m.start() for m in starts] + [len(text)]
            for (title, start), end in zip(heads, ends):
                entries = [Entry(*m.groups(), header)
                           for m in COMMENT.finditer(text, start, end)]
                self.sections.append((title, [e for e in entries if e.name]))
            documented = {e.name: e for _, entries in self.sections for e in entries
                          if e.kind == "enum"}
            for m in ENUM.finditer(text):
                self.enums[m.group(1)] = Enum(m.group(0), documented.get(m.group(1)))
        self.entries = [e for _, entries in self.sections for e in entries]

    def pages(self):
        """Page by name; an enum is on the pages of those that use it"""
        names = {e.name for e in self.entries if e.kind != "enum"}
        pages = {}
        for entry in self.entries:
            if entry.kind == "enum":
                continue
            words = entry.words()
            see = {word for word in re.findall(r"\w+", words)
                   if word in names and word != entry.name}
            enums = [enum for name, enum in self.enums.items()
                     if re.search(r"\benum %s\b" % name, words)]
            pages[entry.name + ".3"] = entry.page(
                [(name, 3) for name in sorted(see)] +
                [("libtapxfer", 3), ("tapxfer-netlink", 7)], enums)
        return pages

    def table(self, kinds):
        out = ""
        for title, entries in self.sections:
            rows = [e for e in entries if e.kind in kinds]
            if rows:
                out += "%s\n%s\n\n" % (title, "-" * len(title))
            for entry in rows:
                out += "**%s**\\ (3)\n    %s\n\n" % (entry.name, escape(entry.short))
        return out

    def functions(self):
        return self.table(("function",))

    def types(self):
        return self.table(("struct", "typedef"))


def errors(text):
    """The list of errnos in the head of the uapi header"""
    block = re.search(r"^ \* Errors\..*?\n \*\n(.*?)^ \*/", text, re.S | re.M).group(1)
    out = ""
    for errno, why in re.findall(r"^ \*   (E[A-Z0-9]+) +(.*?)(?=^ \*   E|\Z)", block,
                                 re.S | re.M):
        why = " ".join(re.sub(r"^ \*", "", why, flags=re.M).split())
        out += "**%s**\n    %s\n\n" % (errno, escape(why))
    return out
