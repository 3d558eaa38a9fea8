"""Every error that Roundtrip raises on purpose.

An error says what was wrong, where, what to do about it, and whether trying again can help.
It is formatted in one place, `RoundtripError.__str__`, so that the last line of a task's log reads the same everywhere.
Misuse by our own code is a plain `RuntimeError`, never one of these.
"""

from __future__ import annotations


class RoundtripError(Exception):
    """The root: something outside the code is not as it has to be.

    `what` is one sentence with expected and got; `where` a file:line:key, an address or a name;
    `remedy` what a person does next; `retriable` whether the same call may succeed later.
    """

    retriable = False

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        parts = [f"{type(self).__name__}: {self.what}"]
        if self.where:
            parts.append(f"at {self.where}")
        if self.remedy:
            parts.append(f"-> {self.remedy}")
        return " ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.remedy))


def _rebuild(kind: type[RoundtripError], what: str, where: str, remedy: str) -> RoundtripError:
    return kind(what, where=where, remedy=remedy)


class PlanError(RoundtripError):
    """A plan or environment file cannot be used."""


class LedgerError(RoundtripError):
    """The ledger cannot be read, written or trusted."""


class LedgerUnavailableError(LedgerError):
    """Where the ledger lies does not answer, is full or is locked: what it holds is not in doubt."""

    retriable = True


class StaleTokenError(RoundtripError):
    """Somebody newer holds the target; whoever sees this has to stop acting on it."""


class TargetError(RoundtripError):
    """The target could not be observed or brought to the desired deployment."""

    retriable = True


class ArtefactError(RoundtripError):
    """A bundle, checksum or signature is missing or is not what was recorded."""


class GateError(RoundtripError):
    """A gate cannot be set up as the plan asks; never used for a verdict."""


class GateActionError(RoundtripError):
    """What a person asked of a gate is refused: who, when or which; the gate goes on as it was."""


class DoorError(RoundtripError):
    """An answer to the one-way door is refused: who, when or what; the release goes on waiting."""


class EvidenceError(RoundtripError):
    """A source could not give evidence; missing data is not zero. `cause` names the kind, for the verdict's reason."""

    retriable = True
    cause = "source-unreadable"


class StaleEvidenceError(EvidenceError):
    """What a source shows is older than the plan allows."""

    cause = "evidence-too-old"


class RequestLimitError(EvidenceError):
    """A request for evidence took longer than its limit."""


class TargetVanishedError(EvidenceError):
    """A process that should be read is not listed, or does not answer."""

    cause = "target-vanished"


class MetricRenamedError(EvidenceError):
    """A process answers, and shows no series of the name that is looked for."""

    cause = "metric-renamed"


class FindingsError(RoundtripError):
    """The checklist ended with findings that stop the release."""


class BuildError(RoundtripError):
    """A build step ended badly or built something else than expected."""


class SmokeError(RoundtripError):
    """A release does not do end to end what it has to do."""


class ForgeError(RoundtripError):
    """The git repository or its remote refused, or is not in the state the release needs."""


class ForgeUnavailableError(ForgeError):
    """A hosted forge does not answer, or wants to be left alone for a while."""

    retriable = True


class LostAnswerError(ForgeUnavailableError):
    """What was asked to be made may have been made: nobody said. Look before it is asked for again."""


class SecretError(RoundtripError):
    """A secret is missing or malformed; its value is never part of the message."""


class SecretUnavailableError(SecretError):
    """Whoever keeps the secrets does not answer."""

    retriable = True


class RollbackError(RoundtripError):
    """What was restored is not what was recorded."""


class NotYetRestoredError(RollbackError):
    """What was restored is not there yet, or does not do yet what it has to: what it stands on may still be coming back."""

    retriable = True


class PromotionError(RoundtripError):
    """The ledger does not hold what promotion needs."""


class HostError(RoundtripError):
    """The machine lacks something: a program, a port, space."""
