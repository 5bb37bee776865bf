"""Watches: nothing is missed between a list and a watch, and what is too old is said to be."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, watch

from kube_http import MERGE, TABLE, KubeHttp, ok
from widgets import GROUP, PLURAL, collection, widget

pytestmark = pytest.mark.usefixtures("widgets")


def _version(http: KubeHttp, namespace: str) -> str:
    return str(ok(http.get(collection(namespace)))["metadata"]["resourceVersion"])


def _seen(events: Iterator[Any], count: int) -> list[tuple[str, str]]:
    wanted = (event for event in events if event["type"] != "BOOKMARK")
    return [(event["type"], event["object"]["metadata"]["name"]) for event in itertools.islice(wanted, count)]


def test_a_watch_goes_on_where_a_list_ended(http: KubeHttp, namespace: str) -> None:
    path = collection(namespace)
    version = _version(http, namespace)
    ok(http.post(path, widget("a")))
    ok(http.patch(f"{path}/a", {"spec": {"note": "x"}}, MERGE))
    ok(http.patch(f"{path}/a/status", {"status": {"phase": "x"}}, MERGE))
    deleted = ok(http.get(f"{path}/a"))
    ok(http.delete(f"{path}/a"))
    with http.watch(path, resourceVersion=version) as events:
        seen = list(itertools.islice(events, 4))
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    assert seen[2]["object"] == deleted
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
    assert versions == sorted(set(versions))


def test_events_come_as_they_happen(http: KubeHttp, namespace: str) -> None:
    path = collection(namespace)
    with http.watch(path, resourceVersion=_version(http, namespace)) as events:
        ok(http.post(path, widget("a")))
        assert _seen(events, 1) == [("ADDED", "a")]
        ok(http.delete(f"{path}/a"))
        assert _seen(events, 1) == [("DELETED", "a")]


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}])
def test_a_watch_without_a_version_begins_with_what_is_there(
    http: KubeHttp, namespace: str, query: dict[str, str]
) -> None:
    path = collection(namespace)
    ok(http.post(path, widget("a")))
    with http.watch(path, **query) as events:
        assert _seen(events, 1) == [("ADDED", "a")]
        ok(http.post(path, widget("b")))
        assert _seen(events, 1) == [("ADDED", "b")]


def test_leaving_the_selection_is_a_deletion(http: KubeHttp, namespace: str) -> None:
    path = collection(namespace)
    with http.watch(path, resourceVersion=_version(http, namespace), labelSelector="done!=true") as events:
        ok(http.post(path, widget("a")))
        ok(http.patch(f"{path}/a", {"metadata": {"labels": {"done": "true"}}}))
        ok(http.patch(f"{path}/a", {"spec": {"note": "unseen"}}))
        ok(http.patch(f"{path}/a", {"metadata": {"labels": {"done": None}}}))
        assert _seen(events, 3) == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a")]


def test_one_object_is_watched_by_its_name(http: KubeHttp, namespace: str) -> None:
    path = collection(namespace)
    with http.watch(path, resourceVersion=_version(http, namespace), fieldSelector="metadata.name=b") as events:
        ok(http.post(path, widget("a")))
        ok(http.post(path, widget("b")))
        assert _seen(events, 1) == [("ADDED", "b")]


def test_a_watch_ends_after_its_time(http: KubeHttp, namespace: str) -> None:
    with http.watch(collection(namespace), resourceVersion=_version(http, namespace), timeoutSeconds=1) as events:
        assert [event for event in events if event["type"] != "BOOKMARK"] == []


def test_a_version_long_gone_is_expired(http: KubeHttp, namespace: str) -> None:
    with http.watch(collection(namespace), resourceVersion="1") as events:
        event = next(events)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


def test_watchers_see_tables_when_they_ask(http: KubeHttp, namespace: str) -> None:
    path = collection(namespace)
    version = _version(http, namespace)
    ok(http.post(path, widget("a", size=7)))
    ok(http.post(path, widget("b", size=8)))
    with http.watch(path, accept=TABLE, resourceVersion=version) as events:
        first, second = itertools.islice(events, 2)
    assert first["object"]["kind"] == "Table"
    assert first["object"]["columnDefinitions"][0]["name"] == "Name"
    assert first["object"]["rows"][0]["cells"][:2] == ["a", 7]
    assert second["object"]["rows"][0]["cells"][:2] == ["b", 8]
    assert not second["object"].get("columnDefinitions")


def test_the_official_watch(api: client.ApiClient, namespace: str) -> None:
    custom = client.CustomObjectsApi(api)
    place = (GROUP, "v1", namespace, PLURAL)
    version = custom.list_namespaced_custom_object(*place)["metadata"]["resourceVersion"]
    custom.create_namespaced_custom_object(*place, widget("a", note="x" * 4000))
    stream = watch.Watch().stream(
        custom.list_namespaced_custom_object, *place, resource_version=version, timeout_seconds=10
    )
    event = next(iter(stream))
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")
