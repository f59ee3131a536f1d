"""The layout's traps."""

import operator

from support.repository import ROOT


def test_the_operator_folder_does_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert operator.eq(1, 1)
