"""`--shard` and `merge-reports`."""

from __future__ import annotations

import json

import pytest

from tests.transcripts import ZONE, Transcript

NUMBER = 3


@pytest.fixture
def many(cli: Transcript) -> Transcript:
    """Twelve domains; two of them in one zone."""
    names = [f"d{number}.example" for number in range(10)]
    domains = "".join(f"  {name}:\n" for name in [*names, "sub.d1.example"])
    cli.write("mta-sts.yaml", f'version: 1\ndefaults: {{tlsrpt: "mailto:tls@reports.example"}}\ndomains:\n{domains}')
    for name in names:
        cli.write(f"zones/{name}.yaml", ZONE.format(domain=name))
    cli.edit("zones/d1.example.yaml", "mta-sts:", "sub:\n  type: MX\n  value: {exchange: mx.d1.example., preference: 1}\nmta-sts:")
    return cli


def test_shards_are_planned_applied_and_joined(many: Transcript) -> None:
    plans, seen = [], []
    for number in range(1, NUMBER + 1):
        done = many.deploy("plan", "--shard", f"{number}/{NUMBER}", "--format", "json", "--json-into", f"plan{number}.json")
        plan = json.loads(done.out)
        assert plan["partial"] is True
        assert plan["heading"] == f"Shard {number}/{NUMBER}."
        seen.append({one["domain"] for one in plan["domains"]})
        plans.append(f"plan{number}.json")
    whole = json.loads(many.deploy("plan", "--format", "json").out)
    assert sum(map(len, seen)) == 11
    assert set().union(*seen) == {one["domain"] for one in whole["domains"]}
    assert all(({"d1.example", "sub.d1.example"} & shard) in (set(), {"d1.example", "sub.d1.example"}) for shard in seen)
    joined = json.loads(many.deploy("merge-reports", *plans, "--format", "json").out)
    assert {**joined, "heading": ""} == {**whole, "heading": ""}
    many.show("merge-reports", *plans[:2], "-q")
    many.show("merge-reports", *plans, "--format", "markdown")
    runs = []
    for number in range(1, NUMBER + 1):
        done = many.deploy("apply", "--shard", f"{number}/{NUMBER}", "--auto-approve", "-q", "--json-into", f"run{number}.json")
        assert done.code == 0, done.err
        runs.append(f"run{number}.json")
    assert many.show("merge-reports", *runs, "--format", "github").out.startswith("Apply: 11 done.")
    many.show("merge-reports", *runs, "--format", "json", "--json-into", "joined.json")
    assert "11 domains unchanged" in many.deploy("plan").out
    many.compare("shards")


def test_the_worst_shard_decides_the_exit_code(many: Transcript) -> None:
    many.edit("mta-sts.yaml", "domains:\n", "domains:\n  absent.example:\n")
    files = []
    for number in (1, 2):
        many.deploy("apply", "--shard", f"{number}/2", "--auto-approve", "-q", "--json-into", f"{number}.json")
        files.append(f"{number}.json")
    assert sorted(json.loads((many.directory / file).read_text())["exit_code"] for file in files) == [0, 3]
    done = many.deploy("merge-reports", *files)
    assert done.code == 3
    assert "MTS404" in done.out + done.err


def test_what_cannot_be_joined(many: Transcript) -> None:
    many.deploy("plan", "--json-into", "plan.json")
    many.deploy("apply", "--auto-approve", "--json-into", "run.json")
    many.write("list.json", "[]")
    many.write("damaged.json", '{"format_version": 1, "outcomes": {"d1.example": "odd"}}')
    for files in (("plan.json", "plan.json"), ("plan.json", "run.json"), ("absent.json",), ("list.json",), ("damaged.json",)):
        done = many.deploy("merge-reports", *files)
        assert done.code == 1
        assert "MTS936" in done.err, files


def test_a_saved_plan_takes_no_shard(many: Transcript) -> None:
    many.deploy("plan", "--out", "plan.json", "--shard", "1/2")
    assert "MTS910" in many.deploy("apply", "plan.json", "--shard", "1/2").err
    assert many.deploy("apply", "plan.json").code == 0
