"""The first rule that fits decides, and a run loses what is older than that rule allows."""

import datetime as dt
import uuid

import msgspec
import pytest

from app.rules.log_retention import (
    AgedRun,
    Verdict,
    first_removal,
    judge,
    runless_before,
)
from app.wire.log_retention import LevelLimit, RetentionRule, RetentionRules

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def aged(days: float, **known: object) -> AgedRun:
    facts = {"rows": 10, "bytes": 250, "least_level": 10, **known}
    return AgedRun(id=uuid.uuid4(), last=NOW - dt.timedelta(days=days), **facts)  # pyrefly: ignore


RULES = [
    RetentionRule(name="audit", flows=["audit"]),
    RetentionRule(name="nightly of etl", deployments=["etl/nightly"], days=90),
    RetentionRule(name="weekly", deployments=["weekly"], days=60),
    RetentionRule(name="pci", tags=["pci", "prod"], days=365),
    RetentionRule(
        name="rest",
        days=30,
        below=[LevelLimit(level=20, days=3), LevelLimit(level=30, days=10)],
    ),
]


@pytest.mark.parametrize(
    ("run", "verdict"),
    [
        (aged(1), None),
        (aged(3), Verdict(rule="rest", below_level=20)),
        (aged(3, least_level=20), None),
        (aged(12), Verdict(rule="rest", below_level=30)),
        (aged(30), Verdict(rule="rest", everything=True)),
        (aged(30, active=True), None),
        (aged(4000, flow="audit"), None),
        (aged(40, flow="etl", deployment="nightly"), None),
        (aged(40, flow="other", deployment="nightly"), Verdict(rule="rest", everything=True)),
        (aged(61, flow="x", deployment="weekly"), Verdict(rule="weekly", everything=True)),
        (aged(200, tags=frozenset({"pci", "prod", "x"})), None),
        (aged(200, tags=frozenset({"pci"})), Verdict(rule="rest", everything=True)),
    ],
)
def test_the_first_rule_that_fits_decides(run: AgedRun, verdict: Verdict | None) -> None:
    assert judge(RULES, run, NOW) == verdict


def test_without_a_rule_everything_is_kept() -> None:
    assert judge([], aged(4000), NOW) is None
    assert judge(RULES[:1], aged(4000), NOW) is None
    assert first_removal(RULES[:1], NOW) is None


def test_nothing_younger_than_the_shortest_time_need_be_looked_at() -> None:
    assert first_removal(RULES, NOW) == NOW - dt.timedelta(days=3)


def test_lines_outside_any_run_follow_the_rule_for_every_run() -> None:
    assert runless_before(RULES, NOW) == NOW - dt.timedelta(days=30)
    assert runless_before(RULES[:4], NOW) is None


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"name": ""}, "length >= 1"),
        ({"name": "a", "days": 0}, ">= 1"),
        ({"name": "a", "flow": ["x"]}, "unknown field `flow`"),
        ({"name": "a", "below": [{"level": 20, "days": 5}, {"level": 20, "days": 6}]}, "ascend"),
        ({"name": "a", "below": [{"level": 20, "days": 5}, {"level": 30, "days": 4}]}, "ascend"),
        ({"name": "a", "days": 5, "below": [{"level": 20, "days": 5}]}, "less than the rule's 5"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(
    rule: dict[str, object], complaint: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.convert({"rules": [rule]}, RetentionRules)


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="same name"):
        msgspec.convert({"rules": [{"name": "a"}, {"name": "a"}]}, RetentionRules)
