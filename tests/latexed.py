"""Whether LaTeX takes a text: pdfLaTeX itself where it is there, else a strict reading."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

DOCUMENT = (
    "\\documentclass{article}\n\\usepackage{array,booktabs,graphicx}\n"
    "\\begin{document}\n%s\n\\end{document}\n"
)


def check(text: str, folder: Path) -> None:
    """Fails if the text does not compile, or its page does not hold it.

    CI installs pdfLaTeX, and there it has to be.
    """
    read(text)
    if shutil.which("pdflatex") is None:
        assert os.environ.get("CI", "") == "", "expected pdflatex: see CONTRIBUTING.md"
        return
    (folder / "a.tex").write_text(DOCUMENT % text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace",
                           timeout=180)  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-2000:]
    log = (folder / "a.log").read_text(errors="replace")
    for complaint in ("Missing character", "Overfull", "Float too large"):
        assert complaint not in log, log


def read(text: str) -> None:
    """Environments and braces are in pairs, rows have their columns, nothing is left unescaped."""
    assert text.isascii()
    open_: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z]+)\}", text):
        if kind == "begin":
            open_.append(name)
        else:
            assert open_.pop() == name
    assert not open_
    bare = re.sub(r"\\[\\{}&%$#_]", "", re.sub(r"(?m)^%.*$", "", text))
    assert bare.count("{") == bare.count("}")
    assert bare.count(r"\(") == bare.count(r"\)")
    assert not re.search(r"[#$~]", bare)
    for preamble, body in re.findall(
        r"\\begin\{tabular\}\{([^\n]*)\}\n\\toprule\n(.*?)\n\\bottomrule", text, re.DOTALL
    ):
        kinds = re.sub(r">\{.*?arraybackslash\}p\{.*?linewidth\}", "p", preamble)
        for row in body.splitlines():
            if row != r"\midrule":
                assert row.endswith(r" \\")
                assert len(re.findall(r"(?<!\\)&", row)) == len(kinds) - 1
