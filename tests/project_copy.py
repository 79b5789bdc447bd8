"""A copy of the project in which commands and notebooks train, write and download."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from utils.audio.wav import write_wav
from utils.files import PROJECT

SHORT = "--epochs 1 --folds 0"  # of each training
TIMEOUT_S = 1800  # the copies of `any_device` take minutes on two busy cores
NOT_COPIED = (
    *(".git", ".venv", "result", "features", "*_Segmented", "EMO-DB"),
    *("node_modules", "dist", ".*_cache", ".hypothesis", "__pycache__"),
)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project as after the installation, with the corpus `mydata`."""
    copy = tmp_path_factory.mktemp("clone") / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    python = copy / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    (copy / ".venv" / "train.stamp").touch()
    lines = ["path,label,speaker"]
    for speaker in ("anna", "ben", "carl"):
        for label in ("neutral", "anger"):
            name = f"clips/{speaker}_{label}.wav"
            write_noise(copy / "mydata" / name, seed=len(lines))
            lines.append(f"{name},{label},{speaker}")
    (copy / "mydata" / "recordings.csv").write_text("\n".join(lines) + "\n")
    return copy


def write_noise(path: Path, seed: int) -> None:
    """One second of noise, 16 kHz mono."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, np.random.RandomState(seed).uniform(-0.5, 0.5, 16_000), 16_000)


def run(command: list[str], project: Path, text: str = "") -> str:
    """Run a command in the copy, with the copy's Python; return its output."""
    path = f"{project / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=project,
        env={**os.environ, "PATH": path},
        input=text,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
