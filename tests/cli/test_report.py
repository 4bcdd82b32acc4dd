"""magnn report, as a person would call it."""

import sys
from pathlib import Path

import pytest

import magnn
from magnn.errors import InputError, StorageError
from tests.cli.driver import Shell


def test_what_is_missing_is_one_line(
    recommender: magnn.Recommender, saved_model: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="k must be between 1 and"):
        magnn.report(recommender, "report.html", k=0)
    assert shell("report", saved_model, "-o", shell.folder).error.startswith(f"error: {shell.folder} is a directory")
    assert shell("report", saved_model).code == 2
    shell.write("file", "")
    with pytest.raises(StorageError):
        magnn.report(recommender, "file/report.html")
    no_folder = shell("report", saved_model, "-o", "report.html", "--plots", "file")
    assert no_folder.error.startswith("error: file/training.svg: cannot be written: Not a directory")
    for library in ("matplotlib.figure", "jinja2"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, library, None)
            failed = shell("report", saved_model, "-o", "report.html")
            assert failed.code == 2
            assert failed.error == "error: a report needs Jinja2 and matplotlib: pip install 'magnn[report]'"
    assert not (shell.folder / "report.html").exists()


def test_the_command(saved_model: Path, shell: Shell) -> None:
    done = shell("report", saved_model, "-o", "new/report.html", "-k", "5", "--plots", "plots")
    assert (done.code, done.out) == (0, "")
    assert done.err == "wrote new/report.html and pictures to plots\n"
    assert "recall@5" in Path("new/report.html").read_text(encoding="utf-8")
    assert Path("plots/memory.svg").exists()
