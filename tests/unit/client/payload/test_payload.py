from dspy_service import build_payload

SIGNATURE = "class S(dspy.Signature): ..."
METRIC = "def metric(gold, pred): return 1"


def test_the_least_that_is_needed() -> None:
    payload = build_payload(
        signature=SIGNATURE,
        metric=METRIC,
        rows=[{"text": "a", "team": "b"}],
        inputs=["text"],
        outputs=["team"],
        model="m/n",
    )
    assert payload == {
        "module_name": "predict",
        "module_kwargs": {},
        "signature_code": SIGNATURE + "\n",
        "metric_code": METRIC + "\n",
        "optimizer_name": "miprov2",
        "optimizer_kwargs": {},
        "compile_kwargs": {},
        "dataset": [{"text": "a", "team": "b"}],
        "column_mapping": {"inputs": {"text": "text"}, "outputs": {"team": "team"}},
        "model_config": {"name": "m/n"},
    }


def test_all_that_can_be_said() -> None:
    payload = build_payload(
        signature=SIGNATURE,
        metric=METRIC,
        rows=iter([{"t": "a"}]),
        inputs={"text": "t"},
        model={"name": "m/n", "temperature": 0},
        reflection_model="m/r",
        prompt_model="m/p",
        task_model={"name": "m/t"},
        split=(0.5, 0.2, 0.3),
        shuffle=False,
        seed=0,
        run_options={"priority": 2},
    )
    assert payload["column_mapping"] == {"inputs": {"text": "t"}, "outputs": {}}
    assert payload["model_config"] == {"name": "m/n", "temperature": 0}
    assert payload["reflection_model_config"] == {"name": "m/r"}
    assert payload["prompt_model_config"] == {"name": "m/p"}
    assert payload["task_model_config"] == {"name": "m/t"}
    assert payload["split_fractions"] == {"train": 0.5, "val": 0.2, "test": 0.3}
    assert (payload["shuffle"], payload["seed"], payload["run_options"]) == (False, 0, {"priority": 2})
