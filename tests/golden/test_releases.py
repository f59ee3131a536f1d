"""An upgrade of the operator changes nothing that runs, compared with the bytes of every release.

`make freeze-release` keeps those of a new one.
"""

from pathlib import Path

import yaml

from support.releases import CHANGELOG, RELEASES, declared_since, freeze, upgrades


def test_every_release_is_upgraded_without_a_change() -> None:
    changelog = CHANGELOG.read_text()
    for folder in sorted(path for path in RELEASES.glob("*") if path.is_dir()):
        changed = {name: effect.message for name, effect in upgrades(folder) if effect.kind != "Unchanged"}
        if not declared_since(folder.name, changelog):
            assert changed == {}, "declare it in CHANGELOG.md under 'Causes RayCluster roll-over', or do not change it"


def test_what_is_kept_is_compared(tmp_path: Path) -> None:
    """The same version changes nothing; another byte in a Pod is a new cluster; a pipeline that is rejected fails."""
    folder = tmp_path / "1.0.0"
    assert freeze(folder) > 20
    assert {effect.kind for _, effect in upgrades(folder)} == {"Unchanged"}
    file = folder / "hello.yaml"
    documents = list(yaml.safe_load_all(file.read_text()))
    head = documents[1]["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    head["terminationGracePeriodSeconds"] += 1
    file.write_text(yaml.safe_dump_all(documents))
    assert dict(upgrades(folder))["hello/hello"].kind == "NewCluster"


def test_a_roll_over_is_declared_in_a_newer_version() -> None:
    heading = "### Causes RayCluster roll-over\n\n"
    changelog = f"# Changelog\n\n## Unreleased\n\n{{}}\n## 0.2.0\n\n{{}}\n## 0.1.0\n\n{heading}- This is older.\n"
    assert not declared_since("0.1.0", changelog.format("", ""))
    assert not declared_since("0.1.0", changelog.format(heading, heading))
    assert declared_since("0.1.0", changelog.format("", f"{heading}- Something.\n"))
    assert declared_since("0.1.0", changelog.format(f"{heading}- Something.\n\n### Fixed\n", ""))
    assert not declared_since("0.2.0", changelog.format("", f"{heading}- Something.\n"))
