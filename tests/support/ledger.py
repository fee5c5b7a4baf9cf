"""The supervisor's book: what a child acknowledged, and which states a reopened database may therefore show.

Nothing here comes from the tested disk. Lines of a child, in the order in which they left it:

    ack <actor> <turn> <rows>           the operation is durable
    part <actor> <turn> <rows>          a bulk load was refused behind so many durable rows
    refused <actor> <turn> <error>      it was refused and nothing was stored
    unknown <actor> <turn> <error>      it failed with outcome unknown; the actor stopped
    begin <actor> <turn>                a backup starts
    wrong <text>                        the child saw something that must not be
    opening, ready, closed, finished    where the child is

An actor is a writer's number or "upkeep".
"""

from dataclasses import dataclass, field

from support.rows import Observation, State, Upkeep
from support.workload import Chore, Operation, chore, operation

UPKEEP = "upkeep"


@dataclass
class Backup:
    """A finished backup: it may show what was acknowledged at its begin up to what had begun at its end."""

    name: str
    upkeep: Upkeep
    least: dict[int, int]
    most: dict[int, int]


@dataclass
class Ledger:
    """What one child promised, on top of what the database held before.

    `script` gives each actor its kinds of operations in order; without it they are drawn from the seed, for ever.
    """

    seed: int
    base: Observation
    script: dict[str, list[str]] | None = None
    acknowledged: int = 0
    rows: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    backups: list[Backup] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._history: dict[int, list[State]] = {}
        self._done: dict[int, list[int]] = {}
        self._turns: dict[str, int] = {}
        self._upkeep: list[Upkeep] = [self.base.upkeep]
        self._open_backup: dict[int, int] | None = None

    def note(self, line: str) -> None:
        """Take one line of the child."""
        word, _, rest = line.partition(" ")
        if word == "wrong":
            self.wrong.append(rest)
        elif word in ("ack", "part", "refused", "unknown", "begin"):
            actor, turn, *detail = rest.split(" ", 2)
            if int(turn) != self.turn(actor):
                self.wrong.append(f"{actor} reports turn {turn}, expected {self.turn(actor)}")
            elif word == "ack":
                self._acknowledge(actor, int(detail[0]))
            elif word == "part":
                self._acknowledge_part(int(actor), int(detail[0]))
            elif word == "refused":
                self.refused.append(line)
                self._turns[actor] = self.turn(actor) + 1
                if actor != UPKEEP:
                    self.history(int(actor)).append(self.state(int(actor)))
            elif word == "unknown":
                self.unknown.append(line)
            else:
                self._open_backup = {writer: len(states) - 1 for writer, states in self._history.items()}
        else:
            self.marks.append(line)

    def writers(self) -> list[int]:
        """Return the writers that were heard of."""
        return sorted(self._history)

    def turn(self, actor: str) -> int:
        """Return how many operations of the actor were answered."""
        return self._turns.get(actor, 0)

    def history(self, writer: int) -> list[State]:
        """Return the writer's states: before its first operation, and after each that was answered."""
        return self._history.setdefault(writer, [self.base.writers.get(writer, {})])

    def state(self, writer: int) -> State:
        """Return the state that the writer was promised."""
        return self.history(writer)[-1]

    def upkeep(self) -> Upkeep:
        """Return the upkeep that was promised."""
        return self._upkeep[-1]

    def next_operation(self, writer: int) -> Operation | None:
        """Return what the writer does next, None when its script has ended."""
        turn = self.turn(str(writer))
        kinds = None if self.script is None else self.script.get(str(writer), [])
        if kinds is not None and turn >= len(kinds):
            return None
        return operation(self.seed, writer, turn, self.state(writer), None if kinds is None else kinds[turn])

    def next_chore(self) -> Chore | None:
        """Return the next act of upkeep, None when its script has ended."""
        turn = self.turn(UPKEEP)
        kinds = None if self.script is None else self.script.get(UPKEEP, [])
        if kinds is not None and turn >= len(kinds):
            return None
        return chore(self.seed, turn, self.upkeep(), None if kinds is None else kinds[turn])

    def allowed(self, writer: int) -> list[State]:
        """Return the states in which the writer's rows may be found."""
        following = self.next_operation(writer)
        return [self.state(writer)] if following is None else following.outcomes(self.state(writer))

    def allowed_upkeep(self) -> list[Upkeep]:
        """Return the upkeep that may be found."""
        following = self.next_chore()
        return [self.upkeep()] if following is None else following.outcomes(self.upkeep())

    def allowed_in(self, backup: Backup, writer: int) -> list[State]:
        """Return the states in which the writer's rows may be found in a restored backup."""
        least = backup.least.get(writer, 0)
        states = self.history(writer)[least : backup.most.get(writer, 0) + 1]
        between = [self.operation_at(writer, turn) for turn in range(least, backup.most.get(writer, 0) + 1)]
        for made, state in zip(between, list(states), strict=True):
            if made is not None:
                states.extend(made.outcomes(state)[1:])
        return states

    def acknowledged_operations(self, writer: int) -> list[tuple[Operation, State]]:
        """Return the writer's operations that were acknowledged, in order, each with the state before it."""
        made = [(self.operation_at(writer, turn), self.history(writer)[turn]) for turn in self._done.get(writer, [])]
        return [(done, before) for done, before in made if done is not None]

    def operation_at(self, writer: int, turn: int) -> Operation | None:
        """Return an operation of the past or the one in flight."""
        kinds = None if self.script is None else self.script.get(str(writer), [])
        if kinds is not None and turn >= len(kinds):
            return None
        return operation(self.seed, writer, turn, self.history(writer)[turn], None if kinds is None else kinds[turn])

    def _acknowledge(self, actor: str, rows: int) -> None:
        self.acknowledged += 1
        if actor == UPKEEP:
            made = self.next_chore()
            if made is None:
                self.wrong.append("upkeep acknowledged more than its script has")
                return
            self._upkeep.append(made.outcomes(self.upkeep())[-1])
            if made.kind == "backup" and self._open_backup is not None:
                most = {writer: len(states) - 1 for writer, states in self._history.items()}
                self.backups.append(Backup(made.name, self.upkeep(), self._open_backup, most))
        else:
            writer = int(actor)
            done = self.next_operation(writer)
            if done is None:
                self.wrong.append(f"writer {writer} acknowledged more than its script has")
                return
            expected = done.affected(self.state(writer))
            if rows != expected:
                self.wrong.append(f"{done.kind} of {len(done.numbers)} rows reported {rows} rows, expected {expected}")
            self.rows += rows
            self.history(writer).append(done.outcomes(self.state(writer))[-1])
            self._done.setdefault(writer, []).append(self.turn(actor))
        self._turns[actor] = self.turn(actor) + 1

    def _acknowledge_part(self, writer: int, rows: int) -> None:
        done = self.next_operation(writer)
        kept = None if done is None else done.partly(self.state(writer), rows)
        if kept is None:
            self.wrong.append(f"writer {writer}: no part of {done} has {rows} rows")
            return
        self.acknowledged += 1
        self.rows += rows
        self.history(writer).append(kept)
        self._turns[str(writer)] = self.turn(str(writer)) + 1
