"""The lifecycle node: parameters, state transitions, threads."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from bisenet_ros.checkpoints import fingerprint
from bisenet_ros.errors import ArgumentError, BisenetError
from bisenet_ros.inference import Segmenter
from bisenet_ros.ros.parameters.declare import declare
from bisenet_ros.ros.parameters.definition import FIELDS, Parameters, checked
from bisenet_ros.ros.segmentation import labels
from bisenet_ros.ros.segmentation.adaptive_resolution import Models
from bisenet_ros.ros.segmentation.camera import Camera, ReceivedFrame, camera_names
from bisenet_ros.ros.segmentation.camera_pose import CameraPose, TransformListener, find_pose
from bisenet_ros.ros.segmentation.checks import check, rotation_problem
from bisenet_ros.ros.segmentation.diagnostics import ModelFacts, camera_status, model_status
from bisenet_ros.ros.segmentation.ground import class_costs
from bisenet_ros.ros.segmentation.model_loading import (
    load_label_map,
    load_models,
    model_values,
)
from bisenet_ros.ros.segmentation.projections import ProjectionThread
from bisenet_ros.ros.segmentation.release_memory import release_memory
from bisenet_ros.ros.segmentation.scheduler import NANO, Scheduler
from bisenet_ros.ros.segmentation.services import Services
from bisenet_ros.ros.segmentation.topics import ImageTopic, check_not_own, image_topics
from bisenet_ros.ros.segmentation.worker import Worker

SUBSCRIBE_PERIOD = 0.25  # seconds between checks of the cameras' publishers
DIAGNOSTICS_PERIOD = 1.0  # seconds

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class SegmentationNode(LifecycleNode):
    """Configure loads the model and advertises; activate subscribes and runs inference.

    Raises:
        ArgumentError: an initial parameter value is out of range.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("bisenet", **kwargs)
        self.failure: BisenetError | None = None  # of the last configure transition
        self.models: Models | None = None
        self.cameras: dict[str, Camera] = {}
        self.scheduler: Scheduler[ReceivedFrame] | None = None
        self.worker: Worker | None = None
        self.projection: ProjectionThread | None = None
        self._transforms = TransformListener(self)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._jumps: object | None = None  # kept alive, or the callback would be unregistered
        self.started = time.monotonic()
        try:
            self.parameters: Parameters = declare(self)
        except ParameterException as error:
            raise ArgumentError(" ".join(str(error).split())) from error
        check(self.parameters)
        self._rotation_problem = rotation_problem(self.parameters)
        if self._rotation_problem:
            self.get_logger().warning(self._rotation_problem)
        self.add_on_set_parameters_callback(self._set_parameters)
        self.enabled = True
        self.callback_errors = 0
        self._labels = labels.LabelTopics(self)
        self._own_services = Services(self, self._enable, self._reload)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # keeps reporting while sim time is paused
        self.create_timer(DIAGNOSTICS_PERIOD, self._publish_diagnostics, clock=steady)
        self.create_timer(SUBSCRIBE_PERIOD, self._subscribe, clock=steady)

    # -- lifecycle ---------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the model and advertise the outputs."""
        self.failure = None
        try:
            check(self.parameters)
            topics = image_topics(self, self.parameters)
            self._use(load_models(self.parameters), self.parameters)
            self._create_cameras(topics)
        except BisenetError as error:
            return self._fail_configure(error)
        except Exception as error:  # rclpy would swallow it: GPU out of memory, bad driver, a bug
            self.get_logger().debug(traceback.format_exc())
            first = f"{type(error).__name__}: {error}".splitlines()[0]
            return self._fail_configure(BisenetError(f"the model cannot run: {first}"))
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker and subscribe to the cameras."""
        self._start()
        self._subscribe()
        values = self._model_values()
        self.get_logger().info(
            f"ready: {values['weights']}, input {values['input_size']}, {values['engine']} "
            f"{values['precision']} on {values['device']}, subscribed to "
            + ", ".join(camera.topic for camera in self.cameras.values())
        )
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe and stop the worker; the model stays loaded."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model and destroy the publishers."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate and clean up."""
        self._stop()
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything and return to unconfigured."""
        self._stop()
        self._release()
        return SUCCESS

    def close(self) -> bool:
        """Stop before the process exits; False if a batch is still being computed."""
        return self._stop()

    # -- the model ---------------------------------------------------------------------------

    @property
    def segmenter(self) -> Segmenter | None:
        """The current model, at the current input size."""
        models = self.models
        return None if models is None else models.current

    def _use(self, models: Models, parameters: Parameters) -> None:
        """Use these models from the next batch on and publish their labels."""
        segmenter = models.current
        weights = f"{segmenter.weights.name} {fingerprint(segmenter.weights)}"
        # The model last: whatever fails before it leaves the old one running under its own labels.
        self._labels.publish(models.labels, parameters.confidence_threshold)
        self._weights, self.models = weights, models
        self.get_logger().info(f"engine {segmenter.engine.name}: {segmenter.engine.why}")
        if segmenter.compute.fallback:
            self.get_logger().warning(segmenter.compute.fallback)

    def _fail_configure(self, error: BisenetError) -> TransitionCallbackReturn:
        self.failure = error
        self._release()
        self.get_logger().fatal(str(error))
        return FAILURE

    # -- cameras and worker ------------------------------------------------------------------

    def _create_cameras(self, topics: list[ImageTopic]) -> None:
        names = camera_names([topic.base for topic in topics])
        for name, topic in zip(names, topics, strict=True):
            prefix = "~" if len(topics) == 1 else f"~/{name}"
            self.cameras[name] = Camera(
                self,
                name,
                topic,
                prefix,
                self.parameters,
                self._submit,
                self.now,
                self._find_pose,
                len(self.cameras),
            )
        check_not_own(self, topics)

    def _find_pose(self, header: Header, parameters: Parameters) -> CameraPose:
        return find_pose(header, parameters, self._transforms.buffer, len(self.cameras))

    def _submit(self, camera: str, frame: ReceivedFrame) -> bool | None:
        scheduler = self.scheduler
        if scheduler is None or not self.enabled:
            return None
        return scheduler.submit(camera, frame)

    def _start(self) -> None:
        simulated = bool(self.get_parameter("use_sim_time").value)
        rate, names = self.parameters.rate, list(self.cameras)
        if simulated:
            scheduler: Scheduler[ReceivedFrame] = Scheduler(names, rate, self._now_ns, wall=False)
            any_jump = JumpThreshold(
                min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1)
            )
            self._jumps = self.get_clock().create_jump_callback(
                any_jump, post_callback=lambda jump: self._clock_jumped(jump, scheduler)
            )
        else:
            scheduler = Scheduler(names, rate)
        self.scheduler = scheduler
        projections = [camera.projections for camera in self.cameras.values()]
        self.projection = ProjectionThread(projections, self.now, self.callback_failed)
        self.worker = Worker(
            scheduler,
            self.cameras,
            self._models,
            lambda: self.parameters,
            self.now,
            self._batch_done,
            self.get_logger(),
            self._pool,
        )

    def _clock_jumped(self, jump: TimeJump, scheduler: Scheduler[ReceivedFrame]) -> None:
        scheduler.wake()
        if jump.delta.nanoseconds < 0:
            # A recording starts again. TF keeps the future and drops the past: begin anew.
            self._transforms.listen(False)

    def _batch_done(self, seconds: float) -> None:
        models, rate = self.models, self.parameters.rate
        if models is None:
            return
        if models.controller.add_batch(time.monotonic(), seconds, 1 / rate if rate else 0.0):
            height, width = models.current.input_size
            self.get_logger().info(f"network input size is now {width}x{height}")

    def _stop(self) -> bool:
        for camera in self.cameras.values():
            camera.unsubscribe()
        idle = True
        if self.worker is not None:
            idle = self.worker.stop()
        if self.projection is not None:
            idle = self.projection.stop() and idle
        self._transforms.listen(False)
        self._drop_pending()
        self.worker = self.scheduler = self.projection = self._jumps = None
        return idle

    def _drop_pending(self) -> None:
        """Count the frames that nobody will segment any more as dropped."""
        if self.scheduler is not None:
            for camera in self.scheduler.drain():
                self.cameras[camera].statistics.dropped()

    def _release(self) -> None:
        for camera in self.cameras.values():
            camera.close()
        self.cameras = {}
        self.models = None
        release_memory()

    def _models(self) -> Models:
        assert self.models is not None
        return self.models

    # -- parameters --------------------------------------------------------------------------

    def _set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Check all changes together, then apply all or none."""
        try:
            own = {p.name: checked(p.name, p.value) for p in changes if p.name in FIELDS}
            for name in own:
                if self.cameras and not FIELDS[name].metadata["live"]:
                    raise ArgumentError(f"{name} cannot change while configured; run cleanup first")
            changed = dataclasses.replace(self.parameters, **own)
            check(changed)
            if "rotation" in own and (problem := rotation_problem(changed)):
                raise ArgumentError(problem)
            self._apply(own, changed)
        except BisenetError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.parameters = changed
        self._rotation_problem = rotation_problem(changed)
        if "rate" in own and self.scheduler is not None:
            self.scheduler.set_rate(changed.rate)
        return SetParametersResult(successful=True)

    def _apply(self, names: Container[str], changed: Parameters) -> None:
        """Load what the changed parameters name; BisenetError leaves everything as it was."""
        models = self.models
        if models is None:
            return
        if "weights" in names:
            self._swap_model(changed)
        elif "label_map" in names:
            label_map = load_label_map(changed, models.models[0].labels)
            models = dataclasses.replace(models, label_map=label_map)
            self._labels.publish(models.labels, changed.confidence_threshold)
            self.models = models
        elif "confidence_threshold" in names:
            self._labels.publish(models.labels, changed.confidence_threshold)
        if "ground_costs" in names:
            class_costs(changed.ground_costs, self._models().labels.names)
            for camera in self.cameras.values():
                camera.projections.ground.forget_costs()

    def _swap_model(self, parameters: Parameters) -> None:
        """Load while the current model keeps running, then replace it between two batches.

        At the same priority: at a lower one, loading could be preempted while it holds the GIL,
        which would delay frames too.
        """
        try:
            self._use(load_models(parameters), parameters)
        except BisenetError:
            raise
        except Exception as error:  # a full GPU, a runtime that refuses the network, a bug
            first = f"{parameters.weights} cannot run: {type(error).__name__}: {error}"
            raise BisenetError(first.splitlines()[0]) from error

    # -- services ----------------------------------------------------------------------------

    def _enable(self, enabled: bool) -> str:
        """Process frames or drop them; everything stays loaded and connected."""
        self.enabled = enabled
        if not enabled:
            self._drop_pending()
        return "enabled" if enabled else "disabled: incoming frames are dropped"

    def _reload(self) -> str:
        """Reload the weights file while the current model keeps running."""
        if self.segmenter is None:
            raise BisenetError("no model is loaded; configure the node first")
        try:
            self._swap_model(self.parameters)
        except BisenetError as error:
            # The caller may be a button that shows no answer.
            self.get_logger().error(f"reload failed, the model in use stays: {error}")
            raise
        return f"loaded {self._weights}"

    def callback_failed(self, error: BaseException) -> None:
        """Log and count an exception of a callback; the node goes on."""
        self.callback_errors += 1
        first = f"{type(error).__name__}: {error}".splitlines()[0]
        self.get_logger().error(f"a callback failed: {first}", throttle_duration_sec=1.0)

    # -- clock and reports -------------------------------------------------------------------

    def now(self) -> float:
        """Seconds on the node's clock, which is /clock under use_sim_time."""
        return self._now_ns() / NANO

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _subscribe(self) -> None:
        if self.worker is not None:
            for camera in self.cameras.values():
                camera.subscribe()
            wanted = any(camera.projections.ground.wanted for camera in self.cameras.values())
            self._transforms.listen(wanted and self.parameters.ground_pose != "parameters")

    def _publish_diagnostics(self) -> None:
        array = DiagnosticArray()
        array.header.stamp = self.get_clock().now().to_msg()
        name, now = self.get_name(), self.now()
        array.status = [model_status(name, self._facts())]
        if self.worker is not None:
            array.status += [
                camera_status(
                    name,
                    camera.name,
                    camera.statistics,
                    now,
                    self.parameters.rate,
                    self.parameters.stale_after,
                    "; ".join(filter(None, (self._rotation_problem, camera.warnings))),
                    self.enabled,
                    {
                        "rotation": self.parameters.rotation_of(camera.index),
                        **camera.connection(),
                        **camera.projections.values(),
                    },
                )
                for camera in self.cameras.values()
            ]
        self._diagnostics.publish(array)

    def _facts(self) -> ModelFacts:
        worker, segmenter = self.worker, self.segmenter
        return ModelFacts(
            values=self._model_values(),
            fallback=segmenter.compute.fallback if segmenter is not None else "",
            failures=worker.failures if worker is not None else 0,
            max_failures=self.parameters.max_failures,
            last_failure=worker.last_failure if worker is not None else "",
            active=worker is not None,
            enabled=self.enabled,
            worker_alive=worker is None or worker.alive,
        )

    def _model_values(self) -> dict[str, str]:
        values = {
            "uptime_s": f"{time.monotonic() - self.started:.1f}",
            "callback_errors": str(self.callback_errors),
        }
        models = self.models
        if models is None:
            return values
        return {**model_values(models, self._weights, self.parameters.label_map), **values}
