"""What the model says: texts, checks of the workflow it names, corrections, and the end after three."""

from __future__ import annotations

from typing import Any

import pytest

from asking import BOTH, WORKFLOW, ask
from fakes import OOM, DataStorage, Model, parameter, row, say, select, workflow_id
from holmesgpt_api.investigation.parse import ParseError, parse

RCA = '"root_cause_analysis":{"summary":"s"}'
ONE = f'{{{RCA},"confidence":0.5}}'
TWO = f'{{{RCA},"confidence":0.9}}'


def block(text: str, opening: str = "```json") -> str:
    return f"Prose\n{opening}\n{text}\n```\n"


# A text, and the confidence it gives or the error it is.
TEXTS: list[tuple[str, float | str]] = [
    ("", "answer is empty"),
    (" \n\t", "answer is empty"),
    ("x" * 262145, "answer is longer than 262144 bytes"),
    (block(ONE) + "x" * 307_200, "answer is longer than 262144 bytes"),
    ("\u00e9" * 131_073, "answer is longer than 262144 bytes"),
    ("prose alone", "answer has no JSON block"),
    (block(ONE).replace("```", "~~~"), "answer has no JSON block"),
    (f"here {ONE}", "answer has no JSON block"),
    ("[1]", "answer has no JSON block"),
    (ONE, 0.5),
    (f"\n {ONE} \n", 0.5),
    (block(ONE), 0.5),
    (block(ONE, "```"), 0.5),
    (block(ONE) + block(TWO), 0.9),
    (block(TWO) + block('{"other": 1}'), 0.9),
    (block(TWO) + block("not JSON"), 0.9),
    (block(TWO) + "```json\n{", 0.9),
    (block(ONE, "```yaml\n```"), 0.5),
    (f"```json\n{ONE}", "JSON block is not closed"),
    (block(ONE)[:40], "JSON block is not closed"),
    (block("{oops}"), "JSON block is not valid at line 1 column 2"),
    (block('{\n "a": 1,\n "b" 2\n}'), "JSON block is not valid at line 3 column 6"),
    (block(f'{{{RCA},"confidence":NaN}}'), "JSON block is not valid at line 1 column 53"),
    (block(f'{{{RCA},"confidence":Infinity}}'), "JSON block is not valid at line 1 column 53"),
    (block(f'{{{RCA},"a":{"[" * 40}{"]" * 40}}}'), "JSON block is not valid at line 1 column 1"),
    (block(f'{{{RCA},"a":"\\u0000"}}'), "JSON block is not valid at line 1 column 1"),
    (block('{"root_cause_analysis":{"summary":"a ``` b"},"confidence":0.3}'), 0.3),
    (block('{"root_cause_analysis":{"summary":"```json\\n{}\\n```"},"confidence":0.4}'), 0.4),
    (block("{}"), "JSON block: root_cause_analysis is required"),
    (block('{"root_cause_analysis":{"summary":""}}'), "JSON block: root_cause_analysis.summary must not be empty"),
    (block(f'{{{RCA},"confidence":"0.5"}}'), "JSON block: confidence must be a number"),
    (
        block(f'{{{RCA},"investigation_outcome":"fine"}}'),
        "JSON block: investigation_outcome must be one of: resolved, inconclusive",
    ),
    (
        block(f'{{{RCA},"selected_workflow":{{"workflow_id":"x"}}}}'),
        "JSON block: selected_workflow.confidence is required",
    ),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS, ids=range(len(TEXTS)))
def test_texts(text: str, expected: float | str) -> None:
    if isinstance(expected, float):
        assert parse(text).confidence == expected
        return
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert str(caught.value) == expected


SCHEMA = (
    parameter("S", min_length=2, max_length=4),
    parameter("I", type="integer", minimum=0, maximum=100, required=False),
    parameter("F", type="float", required=False),
    parameter("B", type="bool", required=False),
    parameter("A", type="array", required=False),
    parameter("E", enum=["a", "b"], required=False),
    parameter("P", pattern="[a-z]+", required=False),
    parameter("D", depends_on=["E"], required=False),
)
# What the model names, the error, and the nearest that passes: changes of the selected workflow.
CHECKS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"workflow_id": "no-uuid"}, "workflow 'no-uuid' is not in the catalog", {}),
    ({"workflow_id": OOM[:-1] + "0"}, f"workflow '{OOM[:-1]}0' is not in the catalog", {"workflow_id": OOM.upper()}),
    (
        {"workflow_id": workflow_id("retired-v1")},
        f"workflow '{workflow_id('retired-v1')}' is not active (disabled)",
        {},
    ),
    (
        {"container_image": "other:v1"},
        f"container image mismatch for workflow '{OOM}': answer says 'other:v1', catalog says "
        f"'quay.io/kubernaut/{WORKFLOW}:v1.0.0'; leave container_image out",
        {"container_image": f"quay.io/kubernaut/{WORKFLOW}:v1.0.0"},
    ),
    ({"parameters": {}}, "missing required parameter 'S'", {"parameters": {"S": "ab"}}),
    ({"parameters": {"S": 12}}, "parameter 'S': expected string, got '12'", {"parameters": {"S": "12"}}),
    ({"parameters": {"S": "a"}}, "parameter 'S': length must be between 2 and 4", {"parameters": {"S": "abcd"}}),
    (
        {"parameters": {"S": "ab", "I": "x"}},
        "parameter 'I': expected integer, got 'x'",
        {"parameters": {"S": "ab", "I": "7"}},
    ),
    (
        {"parameters": {"S": "ab", "I": True}},
        "parameter 'I': expected integer, got 'true'",
        {"parameters": {"S": "ab", "I": 1}},
    ),
    (
        {"parameters": {"S": "ab", "I": 1.5}},
        "parameter 'I': expected integer, got '1.5'",
        {"parameters": {"S": "ab", "F": 1.5}},
    ),
    (
        {"parameters": {"S": "ab", "I": 101}},
        "parameter 'I': must be between 0 and 100",
        {"parameters": {"S": "ab", "I": 100}},
    ),
    (
        {"parameters": {"S": "ab", "F": "x"}},
        "parameter 'F': expected number, got 'x'",
        {"parameters": {"S": "ab", "F": "1e2"}},
    ),
    (
        {"parameters": {"S": "ab", "B": "yes"}},
        "parameter 'B': expected boolean, got 'yes'",
        {"parameters": {"S": "ab", "B": "true"}},
    ),
    (
        {"parameters": {"S": "ab", "A": "x"}},
        "parameter 'A': expected array, got 'x'",
        {"parameters": {"S": "ab", "A": "[1]"}},
    ),
    (
        {"parameters": {"S": "ab", "E": "c"}},
        "parameter 'E': must be one of: a, b",
        {"parameters": {"S": "ab", "E": "b"}},
    ),
    (
        {"parameters": {"S": "ab", "P": "ab1"}},
        "parameter 'P': does not match '[a-z]+'",
        {"parameters": {"S": "ab", "P": "ab"}},
    ),
    (
        {"parameters": {"S": "ab", "D": "x"}},
        "parameter 'D': needs 'E'",
        {"parameters": {"S": "ab", "D": "x", "E": "a"}},
    ),
]


def catalog() -> DataStorage:
    storage = DataStorage()
    storage.rows[OOM] = row(WORKFLOW, *SCHEMA)
    return storage


@BOTH
@pytest.mark.parametrize(("wrong", "error", "right"), CHECKS, ids=range(len(CHECKS)))
def test_checks(wrong: dict[str, Any], error: str, right: dict[str, Any], path: str) -> None:
    """The failing case and its nearest passing one, as two attempts of one request."""
    base = {"parameters": {"S": "ab"}}
    model = Model(say(select(**base | wrong)), say(select(**base | right)))
    body = ask(model, path, catalog()).json()
    history = body["validation_attempts_history"]
    assert [(entry["is_valid"], entry["errors"]) for entry in history] == [(False, [error]), (True, [])]
    assert error in model.user(1)
    assert body["selected_workflow"]["workflow_id"] == OOM
    assert all(isinstance(value, str) for value in body["selected_workflow"]["parameters"].values())


def test_all_errors_of_one_row_and_none_of_the_next() -> None:
    wrong = {"S": "abcde", "I": 101, "E": "c"}
    (first, *_) = ask(Model(say(select(parameters=wrong))), storage=catalog()).json()["validation_attempts_history"]
    assert first["errors"] == [
        "parameter 'S': length must be between 2 and 4",
        "parameter 'I': must be between 0 and 100",
        "parameter 'E': must be one of: a, b",
    ]
    both = select(container_image="x", parameters=wrong)
    (first, *_) = ask(Model(say(both)), storage=catalog()).json()["validation_attempts_history"]
    assert len(first["errors"]) == 1 and "container image mismatch" in first["errors"][0]


INVENTED = say(select(workflow_id="00000000-dead-4bad-8bad-000000000404"))
IMAGE, PARAMETER, PARSE = say(select(container_image="x")), say(select(parameters={})), say("nothing")


@BOTH
@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((IMAGE, PARAMETER, PARSE), "llm_parsing_error"),
        ((PARSE, IMAGE, PARAMETER), "parameter_validation_failed"),
        ((PARAMETER, PARSE, IMAGE), "image_mismatch"),
        ((IMAGE, PARSE, INVENTED), "workflow_not_found"),
        ((PARSE, PARSE, PARSE), "llm_parsing_error"),
    ],
)
def test_three_failures(answers: tuple[dict[str, Any], ...], reason: str, path: str) -> None:
    model = Model(*answers)
    body = ask(model, path).json()
    assert (body["human_review_reason"], body["selected_workflow"]) == (reason, None)
    assert body["warnings"] == ["No valid answer after 3 attempts"]
    assert body.get("confidence", body.get("analysis_confidence")) == 0
    assert [entry["attempt"] for entry in body["validation_attempts_history"]] == [1, 2, 3]
    assert not any(entry["is_valid"] for entry in body["validation_attempts_history"])
    readable = answers != (PARSE, PARSE, PARSE)
    said = "Memory limit too low" if readable else "The model's answer could not be read"
    assert body["root_cause_analysis"]["summary"] == said
    assert (body["analysis"], len(model.requests)) == ("Prose." if readable else said, 3)
    if path == "recovery":
        assert (body["can_recover"], body["strategies"], body["recovery_analysis"]) == (False, [], None)
