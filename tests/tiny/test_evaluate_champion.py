"""Base, tuned model and champion beside each other."""

import shutil

import polars as pl

from pipeline_config.training import TrainingConfig
from tasks.artifacts import Rival
from tasks.engine import open_engine
from tasks.evaluate.outcomes import PREDICTIONS, read_outcomes
from tasks.manifest import read_manifest, write_manifest
from tasks.rows import prompt_of
from tests.builders import make_prepared, make_row, make_trained
from tests.tiny.evaluation_world import QUEUES, TEST, TRAIN, World


def test_a_new_champion_is_the_only_one_that_is_asked(world: World) -> None:
    world.measure(world.two)
    world.measure(world.two, world.rival(world.one))
    assert {what.split()[0] for what in world.said} == {"desk-v1", "perplexity", "figures"}
    assert "perplexity of tuned on test rows" not in world.said


def test_a_champion_that_was_the_tuned_model_before_is_not_asked_again(world: World) -> None:
    world.measure(world.one)
    world.measure(world.two, world.rival(world.one))
    assert not any("desk-v1" in what for what in world.said)


def test_rows_that_the_champion_was_trained_or_validated_on_are_marked(world: World) -> None:
    result = world.measure(world.two, world.rival(world.one)).value
    assert (result.champion_name, result.champion_fault, result.champion_seen_rows) == ("desk-v1", None, 2)
    assert pl.read_parquet(result.folder / PREDICTIONS)["champion_saw"].to_list() == [True, True, *[False] * 7]
    outcomes = read_outcomes(result.folder)
    assert len(outcomes.unseen_by_champion()[0]) == 7
    assert result.champion is not None
    assert result.champion.get("accuracy") == sum(outcomes.champion or ()) / 9


def test_a_champion_that_was_trained_on_masked_rows_is_asked_as_the_endpoint_asks_it(world: World) -> None:
    named, masked = (
        [make_row(f"{who} has no vpn since {n} o'clock", QUEUES[n % 3]) for n in range(4)] for who in ("bob@example.com", "<EMAIL>")
    )
    world.prepared = make_prepared(world.folder / "data", TRAIN, TRAIN[:2], named)
    before = make_prepared(world.folder / "before", masked[:1], masked[1:2], masked)
    champion = make_trained(world.folder / "v3", world.config.model, world.folder, before, seed=3)
    manifest = read_manifest(champion.artifact).model_copy(update={"masked_kinds": ("email",)})
    rival = world.rival(champion).model_copy(update={"artifact_digest": write_manifest(champion.artifact, manifest)})
    result = world.measure(world.two, rival).value
    stored = pl.read_parquet(result.folder / PREDICTIONS)
    engine = open_engine(world.config.model, world.folder)
    engine.load_adapter("v3", champion.artifact)
    answers, raw = ([engine.answer([prompt_of(row)], adapter="v3", max_new_tokens=8)[0].text for row in rows] for rows in (masked, named))
    assert stored["champion"].to_list() == answers != raw
    assert stored["champion_saw"].to_list() == [True, True, False, False]


def test_each_contender_answers_on_a_base_in_its_own_precision(world: World) -> None:
    quantised = make_trained(world.folder / "q", world.config.model, world.folder, world.prepared, seed=3, method="qlora")
    engines = {"tuned": open_engine(world.config.model, world.folder), "champion": open_engine(world.config.model, world.folder, "nf4")}
    engines["tuned"].load_adapter("v", world.two.artifact)
    engines["champion"].load_adapter("v", quantised.artifact)
    result = world.measure(world.two, world.rival(quantised)).value
    assert result.champion_fault is None
    stored = pl.read_parquet(result.folder / PREDICTIONS)
    for name, engine in engines.items():
        answers = engine.answer([prompt_of(row) for row in TEST], adapter="v", max_new_tokens=8, batch_size=4)
        assert stored[name].to_list() == [answer.text for answer in answers]


def test_the_base_is_asked_in_the_precision_of_the_method(world: World) -> None:
    plain = world.measure(world.two).value
    world.config = world.config.model_copy(update={"training": TrainingConfig(method="qlora")})
    quantised = make_trained(world.folder / "q", world.config.model, world.folder, world.prepared, seed=3, method="qlora")
    assert world.measure(quantised).value.base.get("perplexity") != plain.base.get("perplexity")


def test_a_champion_of_another_base_is_a_fault(world: World) -> None:
    copy = world.folder / "champion"
    shutil.copytree(world.one.artifact, copy)
    manifest = read_manifest(copy)
    other = manifest.model_copy(update={"base": manifest.base.model_copy(update={"digest": "0" * 64})})
    rival = world.rival(world.one).model_copy(update={"folder": copy, "artifact_digest": write_manifest(copy, other)})
    assert "belongs to base 000000000000" in (world.measure(world.two, rival).value.champion_fault or "")


def test_a_damaged_champion_is_a_fault_and_is_tried_again_when_it_is_whole(world: World) -> None:
    copy = world.folder / "champion"
    shutil.copytree(world.one.artifact, copy)
    rival = world.rival(world.one).model_copy(update={"folder": copy})
    weights = copy / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    damaged = world.measure(world.two, rival).value
    assert (damaged.champion, damaged.champion_name) == (None, "desk-v1")
    assert "do not match the manifest" in (damaged.champion_fault or "")
    assert "champion" not in pl.read_parquet(damaged.folder / PREDICTIONS).columns
    weights.write_bytes(whole)
    assert world.measure(world.two, rival).value.champion_fault is None


def test_a_champion_with_other_bytes_than_the_ledger_says_is_a_fault(world: World) -> None:
    rival = world.rival(world.one).model_copy(update={"artifact_digest": "0" * 64})
    assert "and not 000000000000" in (world.measure(world.two, rival).value.champion_fault or "")


def test_a_champion_that_is_not_here_keeps_its_own_fault(world: World) -> None:
    rival = Rival(adapter_name="desk-v1", artifact_digest="0" * 64, folder=None, fault="the registry lost it")
    assert world.measure(world.two, rival).value.champion_fault == "the registry lost it"
    assert world.measure(world.two, rival.model_copy(update={"fault": "no disk"})).value.champion_fault == "no disk"
    assert world.measure(world.two).value.champion_name is None
