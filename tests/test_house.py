# SPDX-License-Identifier: BSD-3-Clause
"""House rules that a program can check: lengths, circles, what may be imported from where, what documents say of files.

What may break a rule stands in LONG_FILES, beside the reason.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
if not (ROOT / "fastconv").is_dir() or not (ROOT / ".spin").is_dir():
    pytest.skip("house rules are those of a checkout", allow_module_level=True)

LINES, FUNCTION_LINES, README_LINES, CELL = 400, 80, 180, 200
PICTURE_BYTES = 150_000
TOP_LEVEL = {"setup.py", "pyproject.toml", "fastconv", "csrc", "tests", "bench"}
TOP_LEVEL |= {"README.md", "CHANGELOG.md", "LICENSE", "MANIFEST.in"}


def files(*patterns: str) -> list[Path]:
    found = {path for pattern in patterns for path in ROOT.glob(pattern) if path.name != "_core.c"}
    assert found, patterns
    return sorted(found)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


C_FILES = files("csrc/**/*.[ch]")
PYTHON = files("fastconv/**/*.py", "tests/**/*.py", "bench/*.py", ".spin/*.py", "setup.py")
SOURCES = [*C_FILES, *PYTHON, *files("fastconv/**/*.pyi", "fastconv/*.pyx", "fastconv/*.pxi", "tests/**/*.[ch]")]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


# ---- lengths -------------------------------------------------------------------------------------


DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstring_lines(tree: ast.AST) -> list[range]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node):
            found.append(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return found


def code_lines(path: Path) -> int:
    """Lines of a file, docstrings of Python not counted."""
    text = path.read_text()
    docs = docstring_lines(parsed(path)) if path.suffix == ".py" else []
    return len(text.splitlines()) - sum(map(len, docs))


LONG_FILES = {  # lines, and why so many
    "tests/test_*.py": (700, "the tests of one module"),
    "fastconv/_core.pyx": (650, "every struct of C is declared here, once"),
    "fastconv/nn/__init__.pyi": (500, "every name of nn is listed here, twice, and has its type"),
    "csrc/kernels/kernels.h": (550, "every micro-kernel is declared here, once"),
}


def test_files_are_short():
    lengths = {name(path): code_lines(path) for path in SOURCES}
    limits = {path: [most for p, (most, _) in LONG_FILES.items() if fnmatch(path, p)] or [LINES] for path in lengths}
    assert sorted(path for path, n in lengths.items() if n > max(limits[path])) == []


def c_functions(path: Path) -> dict[str, int]:
    """Lines of each function: from its name, whose line begins in the first column, to the brace that ends it there."""
    found, start = {}, None
    for i, line in enumerate(path.read_text().splitlines()):
        if header := re.match(r"[A-Za-z_].*?\b(?:NAME\()?(\w+)\)?\(", line):
            start = None if line.endswith(";") else (header[1], i)
        elif line == "}" and start:
            found[start[0]], start = i - start[1] + 1, None
    return found


def python_functions(path: Path) -> dict[str, int]:
    """Lines of each function, docstrings not counted."""
    tree = parsed(path)
    docs = docstring_lines(tree)
    return {
        node.name: node.end_lineno
        - node.lineno
        + 1
        - sum(len(d) for d in docs if node.lineno < d.start < node.end_lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def cython_functions(path: Path) -> dict[str, int]:
    """Lines of each function, from its header to the last line that is further in, docstrings not counted."""
    lines = re.sub(r'"""(?:.|\n)*?"""', "", path.read_text()).splitlines()
    depth = [len(line) - len(line.lstrip()) if line.strip() else 999 for line in lines]
    found = {}
    for i, line in enumerate(lines):
        if header := re.match(r" *(?:cdef|cpdef|def) (?!class|extern).*?(\w+)\(", line):
            end = next(
                (j for j in range(i + 1, len(lines)) if depth[j] <= depth[i] and lines[j].strip() != ")"), len(lines)
            )
            found[header[1]] = end - i
    return found


FUNCTIONS = {
    ".py": python_functions,
    ".pyx": cython_functions,
    ".pxi": cython_functions,
    ".c": c_functions,
    ".h": c_functions,
}


def test_functions_are_short():
    lengths = {
        f"{name(path)}: {function}": n
        for path in SOURCES
        if path.suffix in FUNCTIONS
        for function, n in FUNCTIONS[path.suffix](path).items()
    }
    assert len(lengths) > 1000  # they are found
    assert sorted(function for function, n in lengths.items() if n > FUNCTION_LINES) == []


# ---- what knows of what --------------------------------------------------------------------------


def without_comments(path: Path) -> str:
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', " ", path.read_text(), flags=re.DOTALL)


def no_circle(graph: dict[str, set[str]]) -> None:
    assert any(graph.values())
    TopologicalSorter(graph).prepare()  # CycleError names a circle


def test_no_circle_of_includes():
    no_circle(
        {
            name(path): {
                f"csrc/{header}" for header in re.findall(r'^ *# *include "(.+)"', path.read_text(), re.MULTILINE)
            }
            for path in C_FILES
        }
    )


def test_no_circle_of_calls():
    """A C file knows another if it names a function or a table that is defined there."""
    texts = {name(path): without_comments(path) for path in C_FILES if path.suffix == ".c"}
    head = r"^(?!static|typedef|extern)[A-Za-z_][\w *]*?\b"
    definition = re.compile(head + r"(fc_\w+)(?:\([^;{}]*\)\s*\{|\s*=)", re.MULTILINE)
    home = {word: file for file, text in texts.items() for word in definition.findall(text)}
    assert len(home) > 50
    files = {
        file: {home[word] for word in re.findall(r"\bfc_\w+", text) if home.get(word, file) != file}
        for file, text in texts.items()
    }
    no_circle(files)
    folders: dict[str, set[str]] = {}
    for file, others in files.items():
        folder = file.split("/")[1]
        folders.setdefault(folder, set()).update({other.split("/")[1] for other in others} - {folder})
    no_circle(folders)


WIDTH = re.compile(
    r"^ *# *(?:el)?if.*(?:BYTES|__AVX|__SSE|__ARM)"  # the preprocessor asks
    r"|vector_bytes *(?:==|!=|<|>)",  # the program asks
    re.MULTILINE,
)


def test_only_vec_h_asks_how_wide_a_vector_is():
    asking = [name(path) for path in C_FILES if WIDTH.search(without_comments(path))]
    assert asking == ["csrc/kernels/vec.h"]


def private(word: str) -> bool:
    return word.startswith("_") and not word.startswith("__") and word != "_core"


def test_nothing_private_is_imported_across_modules():
    """Only the module that has a name with an underscore uses it; `fastconv._core` is for all."""
    found = set()
    for path in files("fastconv/**/*.py"):
        tree, modules = parsed(path), set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fastconv":
                modules |= {alias.asname or alias.name for alias in node.names}
                found |= {f"{name(path)}: {a.name}" for a in node.names if private(a.name)}
        found |= {
            f"{name(path)}: {node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
            if private(node.attr)
        }
    assert sorted(found) == []


# ---- what a stranger looks at --------------------------------------------------------------------


def test_nothing_new_at_the_top():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    assert {top for file in tracked if not (top := file.split("/")[0]).startswith(".")} <= TOP_LEVEL


def test_every_source_file_names_its_licence():
    assert [name(p) for p in SOURCES if "SPDX-License-Identifier: BSD-3-Clause" not in p.read_text()[:99]] == []


DOCUMENTS = files("*.md", "*/README.md", ".github/*.md")


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_documents(path):
    """Cells of tables can be read; links lead to files, pictures are small, and files that are spoken of exist."""
    text = path.read_text()
    rows = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    assert [cell for row in rows for cell in re.split(r"(?<!\\)\|", row) if len(cell) > CELL] == []
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in link:
            target = path.parent / link
            assert target.exists(), link
            assert target.suffix != ".png" or target.stat().st_size < PICTURE_BYTES, link
    spoken_of = re.findall(r"`((?:\w+/)*\w+\.(?:c|h|py|pyx|pxi|pyi))`", text)
    assert [
        file
        for file in spoken_of
        if "NAME" not in file and not list(ROOT.glob(f"[a-z]*/**/{file}")) and not (ROOT / file).exists()
    ] == []


def test_hooks_have_the_versions_of_the_extra():
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    hooks = re.findall(r'additional_dependencies: \["(.+)"\]', (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks and set(hooks) <= set(extra)
