"""The two images as folders, made from Dockerfile without an engine or a network: packages come from the checkout's .venv.

RUN lines that work on the project alone are performed as they stand; the others have a stand-in here, and a new one needs one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

from tests.dockerfile import ROOT, Stage, checked_in, context, lay_out

BIN = Path(sys.executable).parent
VENDOR = ROOT / "static" / "vendor"
VENV = "python -m venv --without-pip .venv"


def make(stages: dict[str, Stage], name: str, root: Path) -> Path:
    """The folder that stands for /app in the image `name`."""
    files = context(checked_in("--cached", "--others", "--exclude-standard"), (ROOT / ".dockerignore").read_text())
    folder = lay_out(stages, name, files, root, _run)
    _settle(folder, root / "project")
    return folder


def command(folder: Path, stage: Stage, words: list[str], **more: str) -> tuple[list[str], dict[str, str]]:
    """A command line of the image and its environment, as it is when run from `folder`."""
    env = environment(stage)
    env["PATH"] = env["PATH"].replace("/app/", f"{folder}/").replace("$PATH", os.environ["PATH"])
    return words, {**env, **more}


def environment(stage: Stage) -> dict[str, str]:
    return dict(pair.split("=", 1) for text in stage.texts("ENV") for pair in text.split())


def words(stage: Stage, instruction: str) -> list[str]:
    """Of ENTRYPOINT or HEALTHCHECK, in their exec form."""
    text = stage.texts(instruction)[-1]
    found = json.loads(text[text.index("[") :])
    assert isinstance(found, list)
    return [str(word) for word in found]


def _run(stage: str, text: str, folder: Path) -> None:
    first = text.split(" && ")[0]
    if first.startswith(("groupadd ", "install --directory ", "apt-get ")):
        return
    if first.startswith("npm ci"):
        (folder / "node_modules").symlink_to(ROOT / "node_modules")
    elif first == "python3 -m venv .venv":
        return  # the checkout's own has what the build wants
    elif first.startswith("node "):
        _keep_what_is_built(folder)
        _shell(text, folder)
    elif first == VENV and stage == "project":
        _shell(first, folder)
        _give_setuptools(folder)
    elif first == VENV:
        site = _site(folder)
        site.mkdir(parents=True)
        (site / "packages.pth").write_text(sysconfig.get_paths()["purelib"])
    elif first.startswith("pip --python .venv install --no-deps"):
        _shell(text, folder)
    else:
        raise NotImplementedError(f"RUN {first}: say here what stands in for it")


def _settle(folder: Path, project: Path) -> None:
    """What was installed in place names its folder: an image's stages all call it /app, here each has one of its own."""
    for file in [*_site(folder).glob("__editable__*.py"), *(folder / ".venv" / "bin").glob("wasimoff*")]:
        file.write_text(file.read_text().replace(str(project), str(folder)))


def _shell(text: str, folder: Path) -> None:
    path = f"{folder}/.venv/bin:{BIN}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHON": sys.executable}
    done = subprocess.run(["sh", "-c", text], cwd=folder, env=env, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, f"RUN {text}\n{done.stdout}{done.stderr}"


def _site(folder: Path) -> Path:
    return folder / ".venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _give_setuptools(folder: Path) -> None:
    for file in distribution("setuptools").files or ():
        source = Path(str(file.locate()))
        if ".." not in file.parts and "__pycache__" not in file.parts and source.is_file():
            target = _site(folder) / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def _keep_what_is_built(folder: Path) -> None:
    """Spare the download of protobuf and the compression of Pyodide, which take long and don't depend on Dockerfile."""
    manifest = VENDOR / "manifest.json"
    assert manifest.exists(), "static/vendor is not built: run `make setup`"
    for name in (".wheels", json.loads(manifest.read_text())["pyodide"]):
        shutil.copytree(VENDOR / name, folder / "static" / "vendor" / name)
