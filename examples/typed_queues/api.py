"""The API: it adds jobs, and runs none."""

from examples.typed_queues.shared.app import app
from examples.typed_queues.shared.queues import courses as c
from examples.typed_queues.shared.queues.example import ExampleJobPayload, ExampleProducer
from examples.typed_queues.shared.queues.registry import QUEUES

from toril.web.access.control import AccessControl
from toril.web.access.port import Permission
from toril.web.own_routes import Answer, OwnCall, OwnRoutes
from toril.web.producer_routes import serve_producer
from toril.web.site import site

producers, access = QUEUES.producers(app), AccessControl(app)
routes = OwnRoutes(access, queue="example", timeout_s=5.0)


@routes.on("POST", "/tasks", Permission.SUBMIT)
async def add_task(call: OwnCall) -> Answer:
    body = await call.json(userId=str, email=str)
    payload = ExampleJobPayload(body["userId"], "send-email", {"email": body["email"]})
    await producers.get(ExampleProducer).enqueue(payload)
    return 201, {"queued": True}


@routes.on("POST", "/courses/{courseId}/build", Permission.SUBMIT)
async def build_course(call: OwnCall) -> Answer:
    course_id = call.request.path_params["courseId"]
    body = await call.json(videos=list[str], documents=list[str])
    video, pdf = producers.get(c.VideoProducer), producers.get(c.PdfProducer)
    parts = [video.node(c.VideoPayload(one)) for one in body["videos"]]
    others = [pdf.node(c.PdfPayload(one)) for one in body["documents"]]
    course = producers.get(c.CourseProducer)
    tree = course.node(c.CoursePayload(course_id), children=[*parts, *others], job_id=course_id)
    return 201, {"courseId": course_id, "queued": not (await app.flows.add(tree)).duplicate}


@routes.on("GET", "/courses/{courseId}", Permission.READ)
async def show_course(call: OwnCall) -> Answer:
    root = await app.flows.get(c.COURSE_QUEUE.name, call.request.path_params["courseId"]).tree()
    children = {f"{one.queue}:{one.id}": one.state for one in root.children}
    return {"courseId": root.id, "state": root.state, "result": root.result, "children": children}


def of_caller(call: OwnCall) -> dict[str, str | None]:
    return {"userId": call.user, "orgId": call.tenant}


serve_producer(routes, producers.get(ExampleProducer), "/api/jobs/example", of_caller)
web = site(app, routes.made(""), access=access)
