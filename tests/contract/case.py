"""A case of the contract: a program, what it is given, how it must end; and `check`. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyodide_provider.core.run import NO_LIMITS, Broken, Exited, Failed, File, Limits, Outcome, Params

from . import zips as z


@dataclass(frozen=True, slots=True)
class Case:
    """Either `error` is set, to what the task's error begins with, or the program ends with `status` and the streams."""

    name: str
    binary: bytes = b""
    args: tuple[str, ...] = ("prog",)
    envs: tuple[str, ...] = ()
    stdin: bytes = b""
    rootfs: bytes | None = None
    artifacts: tuple[str, ...] = ()
    ref: str = ""
    """Instead of the binary."""
    rootfs_ref: str = ""
    roots: tuple[tuple[str, bytes], ...] = ()
    """Path and archive."""
    limits: Limits = NO_LIMITS
    status: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    files: dict[str, bytes] | None = None
    """What the zip of artifacts holds."""
    error: str | tuple[str, ...] = ""
    error_has: tuple[str, ...] = field(default=())
    """Further parts of the error, anywhere."""

    @property
    def params(self) -> Params:
        rootfs = None if self.rootfs is None else File(blob=self.rootfs)
        return Params(
            File(self.ref) if self.ref else File(blob=self.binary),
            self.args,
            self.envs,
            self.stdin,
            File(self.rootfs_ref) if self.rootfs_ref else rootfs,
            self.artifacts,
            tuple((path, File(blob=archive)) for path, archive in self.roots),
            self.limits,
        )


def check(case: Case, outcome: Outcome) -> None:
    """Raise AssertionError when an outcome is not the case's."""
    if case.error:
        assert isinstance(outcome, Failed), f"{case.error!r} was expected, not {outcome!r:.500}"
        assert outcome.error.startswith(case.error), outcome.error
        for part in case.error_has:
            assert part in outcome.error, outcome.error
        return
    assert not isinstance(outcome, (Failed, Broken)), outcome.error
    assert isinstance(outcome, Exited)
    assert (outcome.status, outcome.stderr) == (case.status, case.stderr)
    assert outcome.stdout == case.stdout
    if case.files is None:
        assert outcome.artifacts is None, "artifacts were not asked for"
    else:
        assert outcome.artifacts is not None, "artifacts were asked for"
        assert z.read_zip(outcome.artifacts) == case.files
