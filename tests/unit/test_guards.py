"""The rules of the house that no linter knows: sizes, who prints, who catches what, and that the pages name things that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "lockstep"

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 60


def test_no_source_file_is_too_long_to_be_read_at_once() -> None:
    assert [f"{name(path)}: {n} lines" for path, n in file_lengths() if n > MOST_LINES_OF_A_FILE] == []


def test_no_function_is_too_long_to_be_read_at_once() -> None:
    found = [
        f"{name(path)}:{function.lineno} {function.name}: {length} lines"
        for path, tree in modules()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for length in [(function.end_lineno or function.lineno) - function.lineno + 1]
        if length > MOST_LINES_OF_A_FUNCTION
    ]
    assert found == []


def test_only_the_command_line_prints() -> None:
    found = [
        f"{name(path)}:{call.lineno}"
        for path, tree in modules()
        if room(path) != "cli"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
    ]
    assert found == []


def test_only_the_command_line_ends_the_process() -> None:
    endings = {"sys.exit", "os._exit", "exit", "quit"}
    found = [
        f"{name(path)}:{call.lineno} {ast.unparse(call.func)}"
        for path, tree in modules()
        if room(path) not in {"cli", "__main__.py"}
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in endings
    ]
    assert found == []


def test_below_the_command_line_no_handler_swallows_every_exception() -> None:
    """A handler for everything cleans up and raises again, or (BaseException only) carries the error to the thread that waits for it."""
    found = [
        f"{name(path)}:{handler.lineno}"
        for path, tree in modules()
        if room(path) != "cli"
        for handler in ast.walk(tree)
        if isinstance(handler, ast.ExceptHandler) and swallows_everything(handler)
    ]
    assert found == []


def test_nothing_is_asynchronous() -> None:
    found = [
        f"{name(path)}:{node.lineno}"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await)
    ]
    assert found == []


def test_every_module_says_what_it_is_responsible_for() -> None:
    assert [name(path) for path, tree in modules() if not ast.get_docstring(tree)] == []


def test_every_package_says_what_it_is_responsible_for() -> None:
    packages = {path.parent for path in SOURCE.rglob("*.py")}
    assert [name(package) for package in sorted(packages) if not (package / "__init__.py").is_file()] == []


def test_names_say_what_a_module_is_for() -> None:
    empty = {"utils", "util", "helpers", "common", "base", "manager", "misc"}
    assert [name(path) for path in SOURCE.rglob("*") if path.stem in empty] == []


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"bench", "check", "demo", "docs", "test"} <= targets
    named = {(page, target) for page in pages() for target in re.findall(r"`?\bmake ([a-z]+)\b`", page.read_text())}
    assert named
    assert [f"{name(page)}: make {target}" for page, target in sorted(named) if target not in targets] == []


def test_every_file_that_a_page_links_to_exists() -> None:
    found = [
        f"{name(page)}: {link}"
        for page in pages()
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert found == []


def test_lock_files_name_no_place_and_pin_everything() -> None:
    locks = [path for path in (ROOT / "requirements").glob("*.txt") if path.stem != "README"]
    assert {"run", "dev", "docs", "lock"} == {path.stem for path in locks}
    for lock in locks:
        text = lock.read_text()
        assert re.search(r"://|^-|\s@\s|/", text, flags=re.MULTILINE) is None, name(lock)
        requirements = re.split(r"\n(?=\S)", text.strip())
        assert [r for r in requirements if re.match(r"\S+==\S+", r) is None or "--hash=sha256:" not in r] == []


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Every source file, parsed."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def file_lengths() -> Iterator[tuple[Path, int]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path, len(path.read_text(encoding="utf-8").splitlines())


def pages() -> list[Path]:
    """What a reader finds: the pages at the root and under docs/."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def swallows_everything(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    caught = {kind.id if isinstance(kind, ast.Name) else "Exception" if kind is None else "" for kind in kinds}
    if isinstance(handler.body[-1], ast.Raise) or not caught & {"Exception", "BaseException"}:
        return False
    carried = any(isinstance(node, ast.Name) and node.id == handler.name for node in ast.walk(ast.Module(handler.body, [])))
    return "Exception" in caught or not carried
