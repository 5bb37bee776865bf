"""Lists: selectors, pages that agree with their first, versions."""

import pytest

from kube_http import KubeHttp, ok, refused
from widgets import API_VERSION, collection, widget

pytestmark = pytest.mark.usefixtures("widgets")


def _names(answer: dict[str, list[dict[str, dict[str, str]]]]) -> list[str]:
    return [item["metadata"]["name"] for item in answer["items"]]


def test_a_list_is_ordered_and_says_its_kind(http: KubeHttp, namespace: str) -> None:
    for name in ("b", "a", "c"):
        ok(http.post(collection(namespace), widget(name)))
    answer = ok(http.get(collection(namespace)))
    assert (answer["kind"], answer["apiVersion"]) == ("WidgetList", API_VERSION)
    assert _names(answer) == ["a", "b", "c"]
    assert int(answer["metadata"]["resourceVersion"]) > 0
    everywhere = ok(http.get(f"/apis/{API_VERSION}/widgets"))
    assert {"a", "b", "c"} <= set(_names(everywhere))


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("team=x", ["a"]),
        ("team==y", ["b"]),
        ("team!=x", ["b", "c"]),
        ("team", ["a", "b"]),
        ("!team", ["c"]),
        ("team in (x,y)", ["a", "b"]),
        ("team notin (x)", ["b", "c"]),
        ("team,stage=new", ["b"]),
        ("example.com/finished!=true,team=x", ["a"]),
    ],
)
def test_label_selectors(http: KubeHttp, namespace: str, selector: str, expected: list[str]) -> None:
    ok(http.post(collection(namespace), widget("a", labels={"team": "x"})))
    ok(http.post(collection(namespace), widget("b", labels={"team": "y", "stage": "new"})))
    ok(http.post(collection(namespace), widget("c")))
    assert _names(ok(http.get(collection(namespace), labelSelector=selector))) == expected


def test_field_selectors(http: KubeHttp, namespace: str) -> None:
    ok(http.post(collection(namespace), widget("a")))
    ok(http.post(collection(namespace), widget("b")))
    assert _names(ok(http.get(collection(namespace), fieldSelector="metadata.name=b"))) == ["b"]
    assert _names(ok(http.get(collection(namespace), fieldSelector="metadata.name!=b"))) == ["a"]
    everywhere = ok(http.get(f"/apis/{API_VERSION}/widgets", fieldSelector=f"metadata.namespace={namespace}"))
    assert _names(everywhere) == ["a", "b"]
    refused(http.get(collection(namespace), fieldSelector="spec.unheard=1"), 400, "BadRequest")


def test_malformed_selectors_are_refused(http: KubeHttp, namespace: str) -> None:
    refused(http.get(collection(namespace), labelSelector="a in ("), 400, "BadRequest")


def test_pages_make_one_consistent_list(http: KubeHttp, namespace: str) -> None:
    for name in "abcdefg":
        ok(http.post(collection(namespace), widget(name)))
    first = ok(http.get(collection(namespace), limit=3))
    assert _names(first) == ["a", "b", "c"]
    assert first["metadata"]["remainingItemCount"] == 4
    ok(http.delete(f"{collection(namespace)}/e"))
    ok(http.post(collection(namespace), widget("dd")))
    ok(http.patch(f"{collection(namespace)}/f", {"spec": {"note": "later"}}))
    second = ok(http.get(collection(namespace), **{"limit": 3, "continue": first["metadata"]["continue"]}))
    assert _names(second) == ["d", "e", "f"]
    assert second["items"][2]["spec"]["note"] == "none"
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    third = ok(http.get(collection(namespace), **{"limit": 3, "continue": second["metadata"]["continue"]}))
    assert _names(third) == ["g"]
    assert not third["metadata"].get("continue")


def test_pages_keep_to_their_selector(http: KubeHttp, namespace: str) -> None:
    for name in "abcdef":
        ok(http.post(collection(namespace), widget(name, labels={"odd": str("ace".count(name))})))
    first = ok(http.get(collection(namespace), labelSelector="odd=1", limit=2))
    assert _names(first) == ["a", "c"]
    token = {"labelSelector": "odd=1", "limit": 2, "continue": first["metadata"]["continue"]}
    assert _names(ok(http.get(collection(namespace), **token))) == ["e"]


def test_a_page_token_must_be_one(http: KubeHttp, namespace: str) -> None:
    refused(http.get(collection(namespace), **{"limit": 1, "continue": "bogus"}), 400, "BadRequest")


@pytest.mark.parametrize("version", ["", "0"])
def test_any_version_will_do(http: KubeHttp, namespace: str, version: str) -> None:
    ok(http.post(collection(namespace), widget("a")))
    assert ok(http.get(collection(namespace), resourceVersion=version))["kind"] == "WidgetList"


def test_a_list_is_not_older_than_asked(http: KubeHttp, namespace: str) -> None:
    made = ok(http.post(collection(namespace), widget("a")))
    version = made["metadata"]["resourceVersion"]
    answer = ok(http.get(collection(namespace), resourceVersion=version, resourceVersionMatch="NotOlderThan"))
    assert _names(answer) == ["a"]
    assert int(answer["metadata"]["resourceVersion"]) >= int(version)
