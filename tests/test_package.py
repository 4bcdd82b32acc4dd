"""What `import magnn` offers."""

import inspect

import magnn


def test_every_public_name_is_there_and_documented() -> None:
    for name in magnn.__all__:
        assert inspect.getdoc(getattr(magnn, name)), name
    assert set(magnn.__all__) == set(magnn._HOMES)
