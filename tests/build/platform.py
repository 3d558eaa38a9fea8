"""A tiny platform in two versions, laid into git, and releases of it. A test bends it by files before it is laid."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from roundtrip.forge.git import Git
from roundtrip.forge.laying import lay_platform
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.environment import ComposeTargetSettings, Environment, LocalTargetSettings
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.sign.keys import new_keys

HERE = Path(__file__).parent
PROJECTS = HERE.parent / "toolchain" / "fixtures"

COMPILE = """\
const fs = require("fs");
require("picocolors");
fs.mkdirSync("dist", { recursive: true });
const built = process.env.SOURCE_DATE_EPOCH;
fs.writeFileSync("dist/server.js", `console.log(require("ms")("2 days"), ${built}, process.argv.slice(2))`);
"""
LOCAL = LocalTargetSettings(kind="local")


@dataclass
class Platform:
    """The source of a platform, and the state folder in which it is released."""

    home: Home
    source: Path
    plan: Plan
    keys: dict[str, str]
    target: LocalTargetSettings | ComposeTargetSettings = LOCAL
    """of its environments"""

    @property
    def change(self) -> Path:
        return self.source / "upgrade-1.1.0"

    def lay(self) -> str:
        """Lay the platform as it is now; the head of the working branch."""
        return lay_platform(self.home.repository, self.plan, source=self.source)

    def release(self, name: str = "r1", *, commit: str | None = None) -> Release:
        """A release of the working branch as it is now, whose checklist has chosen the candidate."""
        release = Release(
            id=name,
            plan=self.plan,
            environments={stage: self._environment(stage) for stage in ("staging", "production")},
            ledger=Ledger(self.home.ledger_url),
            home=self.home,
            secrets=lambda _: self.keys,
            open_target=_no_target,
        )
        chosen = commit or Git(self.home.repository).text("rev-parse", "refs/heads/upgrade/1.1.0")
        branch = {"commit": chosen, "branch": "upgrade/1.1.0"}
        release.ledger.append_once(name, "candidate.chosen", "candidate", branch)
        return release

    def _environment(self, stage: str) -> Environment:
        return Environment(
            name=f"tiny_{stage}",
            stage=stage,
            target=self.target,
            secrets_connection="none",
            signing_connection="signing",
        )


def make_platform(folder: Path, *, cache: Path | None = None) -> Platform:
    """A platform in `folder`; `cache` is shared between tests, so that tools are installed once."""
    home, source = Home(folder / "home"), folder / "platform"
    home.root.mkdir(parents=True)
    if cache is not None:
        for name in ("tools", "npm", "npm-downloads", "python", "poetry-downloads"):
            (cache / name).mkdir(exist_ok=True, parents=True)
            home.cache.mkdir(exist_ok=True)
            (home.cache / name).symlink_to(cache / name)
    for version, place in (("1.0.0", source / "base"), ("1.1.0", source / "upgrade-1.1.0")):
        shutil.copytree(PROJECTS / "node", place / "web")
        shutil.copytree(PROJECTS / "python", place / "worker", ignore=shutil.ignore_patterns("__pycache__"))
        (place / "web" / "compile.js").write_text(COMPILE)
        (place / "web" / "notes.txt").write_text(f"of {version}\n")
        for file in ("web/package.json", "web/package-lock.json", "worker/pyproject.toml"):
            text = (place / file).read_text()
            (place / file).write_text(text.replace('"1.1.0"', f'"{version}"', 1 if "toml" in file else 2))
        _write(place / "docker-compose.yml", f"# of {version}\n")
        _write(place / "conf" / "start.sh", "#!/bin/sh\nexit 0\n")
        (place / "conf" / "start.sh").chmod(0o755)
    _write(
        source / "upgrade-1.1.0" / "worker" / "src" / "tiny" / "__init__.py", '"""Tiny."""\n\nANSWER = 43\n'
    )
    return Platform(home, source, load_plan(HERE / "plan.yaml"), new_keys())


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _no_target(environment: Environment) -> None:
    raise RuntimeError(f"nothing is deployed here, not even to {environment.name}")
