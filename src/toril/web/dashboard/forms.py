"""Plain forms that use a REST route: `POST /act/ROUTE`, then back to the page, where it is said.

A form's fields are the route's own: the parts of its path, and the fields of its body. What the
interface checks is checked here as well, since the route itself is called. So a page needs no code
for an action, and works without scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect as types
from starlette.responses import Response

from toril.core.codec import decode
from toril.rest.answers import Done
from toril.rest.bodies import Body
from toril.web.dashboard.page import N_, Form, pages
from toril.web.dashboard.visit import Visit, route_named
from toril.web.declaring import Route
from toril.web.limits import check_depth, check_values
from toril.web.problems import Problem, of_error
from toril.web.reading import invalid
from toril.web.shapes import at, names_of

MOST_FIELDS = 11_000
"""10,000 jobs may be chosen, and there are some other fields."""
NEXT, SAID, NULLS, JSON = "next", "said", "nulls", "json"
"""Fields of a form beside those of its route: where to go on; what is said in place of what the
pages declare; names of fields whose empty text means null; names of fields that hold JSON."""
_PLAIN = {
    "pause_queue": N_("%(queue)s is paused: jobs that run go on, no other starts."),
    "resume_queue": N_("%(queue)s goes on."),
    "change_queue": N_("The settings of %(queue)s are changed."),
    "obliterate_queue": N_("%(queue)s is gone, with all that it held."),
    "retry_job": N_("Job %(job_id)s is back in line."),
    "promote_job": N_("Job %(job_id)s is ready to run now."),
    "cancel_job": N_("Job %(job_id)s is cancelled; if it runs, its worker has been told."),
    "remove_job": N_("Job %(job_id)s is removed."),
}


def read_form(body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form.

    Raises:
        Problem: It cannot be read.
    """
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, errors="strict",
            max_num_fields=MOST_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise Problem(
            400, "form_unreadable", f"the form is no text in UTF-8 of up to {MOST_FIELDS} fields"
        ) from None
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


async def act(visit: Visit, name: str, form: Form) -> Response:
    """Use a REST route as a form asks, and lead back to where the form was.

    Raises:
        Problem: There is no such route.
    """
    route = route_named(name)
    if route is None or route.method == "GET":
        raise Problem(404, "not_found", f"no action {name[:100]!r}")
    to = _last(form, NEXT) or visit.url("/")
    parts = {part: _last(form, part) or "" for part in route.parts}
    try:
        given = {**parts, **given_by(route, form)}
        answer = await visit.ask(route.function, **given)
    except Problem as problem:
        return visit.back(to, str(problem), kind="bad")
    except Exception as error:
        found = of_error(error)
        if found.status in (401, 503):
            raise
        return visit.back(to, str(found), kind="bad")
    return visit.back(to, sentence(visit, route.name, parts, answer, _last(form, SAID)))


def given_by(route: Route, form: Form) -> dict[str, Any]:
    """Return what a form gives to a route beside the parts of its path.

    Raises:
        Problem: A field makes no sense.
    """
    given: dict[str, Any] = {}
    if route.query is not None:
        given["query"] = _converted(route.query, form)
    if route.body is not None:
        given["body"] = read_body(route.body, form, without=route.parts)
    return given


def read_body(kind: type[Body], form: Form, without: Sequence[str] = ()) -> Any:
    """Return a body of the fields of a form.

    An empty field is left out, unless the form's field `nulls` names it: then it is null. The last
    of several values counts, so that a box that is not ticked can stand behind a hidden field. Text
    of fields that the form's field `json` names is read as JSON.

    Raises:
        Problem: A field makes no sense.
    """
    return _converted(kind, form, without)


def _converted(kind: Any, form: Form, without: Sequence[str] = ()) -> Any:
    try:
        return msgspec.convert(_values(kind, form, without), kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(kind, error) from None


def _values(kind: Any, form: Form, without: Sequence[str] = ()) -> dict[str, Any]:
    nulls = (_last(form, NULLS) or "").split(",")
    json = (_last(form, JSON) or "").split(",")
    values: dict[str, Any] = {}
    for name in names_of(kind):
        if name not in form or name in without:
            continue
        if any(isinstance(one, types.ListType) for one in at(kind, f"$.{name}")):
            values[name] = [value for value in form[name] if value]
            continue
        text = form[name][-1]
        if text.strip() == "":
            if name in nulls:
                values[name] = None
            continue
        values[name] = read_json_text(name, text) if name in json else text
    return values


def read_json_text(name: str, text: str) -> Any:
    """Return what a field holds as JSON.

    Raises:
        Problem: It is none, or is excessive.
    """
    body = text.encode("utf-8", "replace")
    try:
        check_depth(body)
        value = decode(body)
        check_values(value, name)
    except (ValueError, RecursionError) as error:
        raise Problem(422, "not_json", f"{name}: this is not JSON: {error}", field=name) from None
    return value


@cache
def _sentences() -> Mapping[str, str]:
    found = dict(_PLAIN)
    for page in pages():
        found |= page.said
    return found


def sentence(
    visit: Visit, name: str, parts: Mapping[str, Any], answer: object, said: str | None
) -> str:
    """Return what is said of a call that went well."""
    values = dict(parts)
    if isinstance(answer, Done):
        values["count"] = answer.count
    text = _sentences().get(said or name, _sentences().get(name))
    if text is not None:
        words = visit.t(text, **values)
    elif isinstance(answer, Done):
        words = visit.n("%(num)s changed.", "%(num)s changed.", answer.count)
    else:
        words = visit.t("Done.")
    if isinstance(answer, Done) and answer.more:
        words += " " + visit.t("There are more: the time of one request was over. Do it again.")
    return words


def _last(form: Form, name: str) -> str | None:
    values = form.get(name)
    return values[-1] if values else None
