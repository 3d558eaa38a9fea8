"""What a kind of target calls an instance, and what can be done with its instances."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from roundtrip.plan.deployment import Placement


class Instance(Protocol):
    """One running copy of a service: a process, a container. What it runs never changes."""

    @property
    def service(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def name(self) -> str:
        """as logs and people call it"""

    @property
    def url(self) -> str:
        """where the proxy reaches it"""

    @property
    def bundle(self) -> str: ...
    @property
    def configuration(self) -> str: ...
    def __lt__(self, other: Any, /) -> bool: ...
    def __hash__(self) -> int: ...


InstanceT = TypeVar("InstanceT", bound=Instance)


@dataclass(frozen=True)
class Start:
    """Instances of one placement to come."""

    placement: Placement
    numbers: tuple[int, ...]
    """of each"""


class Instances(Protocol[InstanceT]):
    """The instances of one environment. All but `prepare` may be called again at any time."""

    def prepare(self, placements: Collection[Placement]) -> Callable[[Start], list[InstanceT]]:
        """What starts instances of these placements, once each bundle was verified and its configuration found.

        Raises ArtefactError, TargetError before anything is started.
        """

    def all(self) -> list[InstanceT]:
        """Every instance that is known, sorted."""

    def running(self) -> list[InstanceT]:
        """Those that are up, healthy or not."""

    def healthy(self, among: Collection[InstanceT] | None = None) -> list[InstanceT]:
        """Those (of all, or of `among`) that are up and healthy, sorted."""

    def lost(self) -> list[InstanceT]:
        """Those that cannot come up again."""

    def idle(self, among: Collection[InstanceT]) -> list[InstanceT]:
        """Those of `among` that have ended, and are not being started again."""

    def ensure(self, instance: InstanceT) -> None:
        """Have an instance that was started before running."""

    def begin_stop(self, instance: InstanceT) -> None:
        """Tell it to end, gently first."""

    def forget(self, instance: InstanceT) -> None:
        """Take an ended instance off the records."""

    def wait_until_quiet(self, instances: Collection[InstanceT], still: Callable[[], None]) -> bool:
        """Wait until the proxy has no request open there any more; False when its limit was reached first.

        `still` is called at each look and may raise to end the wait.
        """

    def last_words(self, instance: InstanceT) -> tuple[str, str]:
        """Where its log is, and the end of it."""

    def scraped(self, instances: Collection[InstanceT]) -> list[dict[str, object]]:
        """Where their metrics are, in Prometheus' file_sd format."""

    def tidy(self) -> None:
        """Remove what was prepared and is of no more use."""
