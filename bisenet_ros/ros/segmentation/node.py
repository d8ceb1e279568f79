"""The lifecycle node: parameters, state transitions, threads."""

from __future__ import annotations

import dataclasses
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import torch
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from bisenet_ros.checkpoints import fingerprint
from bisenet_ros.errors import ArgumentError, BisenetError
from bisenet_ros.inference import Segmenter
from bisenet_ros.ros.parameters.declare import declare
from bisenet_ros.ros.parameters.definition import FIELDS, Parameters, check_together, checked
from bisenet_ros.ros.segmentation import labels
from bisenet_ros.ros.segmentation.adaptive_resolution import (
    Models,
    ResolutionController,
    resolution_steps,
)
from bisenet_ros.ros.segmentation.camera import Camera, ReceivedFrame, camera_names
from bisenet_ros.ros.segmentation.diagnostics import ModelFacts, camera_status, model_status
from bisenet_ros.ros.segmentation.release_memory import release_memory
from bisenet_ros.ros.segmentation.scheduler import NANO, Scheduler
from bisenet_ros.ros.segmentation.services import Services
from bisenet_ros.ros.segmentation.topics import ImageTopic, check_not_own, image_topics
from bisenet_ros.ros.segmentation.worker import Worker
from bisenet_ros.system.paths import expanded

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
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._jumps: object | None = None  # kept alive, or the callback would be unregistered
        self.started = time.monotonic()
        try:
            self.parameters: Parameters = declare(self)
        except ParameterException as error:
            raise ArgumentError(" ".join(str(error).split())) from error
        check_together(self.parameters)
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
            check_together(self.parameters)
            topics = image_topics(self, self.parameters)
            self._use(self._load(self.parameters))
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

    def _load(self, parameters: Parameters) -> Models:
        """The model at its input size and, if adaptive, at smaller ones; all warmed up."""
        if parameters.threads:
            torch.set_num_threads(parameters.threads)
            cv2.setNumThreads(parameters.threads)

        def load(size: tuple[int, int] | None) -> Segmenter:
            return Segmenter(
                expanded(parameters.weights),
                parameters.device,
                parameters.precision,
                parameters.engine,
                size,
            )

        models = [load(parameters.input_size)]
        trained = None if parameters.any_input_size else parameters.input_size
        models[0].check(parameters.num_classes, trained)
        if parameters.adaptive:
            models += [load(size) for size in resolution_steps(models[0].input_size)[1:]]
        for model in models:
            model.warm_up(len(parameters.topics()))
        return Models(models, ResolutionController([model.input_size for model in models]))

    def _use(self, models: Models) -> None:
        """Use these models from the next batch on and publish their labels."""
        segmenter = models.current
        weights = f"{segmenter.weights.name} {fingerprint(segmenter.weights)}"
        # The model last: whatever fails before it leaves the old one running under its own labels.
        self._labels.publish(segmenter.labels, self.parameters.confidence_threshold)
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
                self, name, topic, prefix, self.parameters, self._submit, self.now
            )
        check_not_own(self, topics)

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
                any_jump, post_callback=lambda _: scheduler.wake()
            )
        else:
            scheduler = Scheduler(names, rate)
        self.scheduler = scheduler
        self.worker = Worker(
            scheduler,
            self.cameras,
            self._model,
            lambda: self.parameters,
            self.now,
            self._batch_done,
            self.get_logger(),
            self._pool,
        )

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
        self._drop_pending()
        self.worker = self.scheduler = self._jumps = None
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

    def _model(self) -> Segmenter:
        assert self.segmenter is not None
        return self.segmenter

    # -- parameters --------------------------------------------------------------------------

    def _set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Check all changes together, then apply all or none."""
        try:
            own = {p.name: checked(p.name, p.value) for p in changes if p.name in FIELDS}
            for name in own:
                if self.cameras and not FIELDS[name].metadata["live"]:
                    raise ArgumentError(f"{name} cannot change while configured; run cleanup first")
            changed = dataclasses.replace(self.parameters, **own)
            check_together(changed)
            if "weights" in own and self.segmenter is not None:
                self._swap_model(changed)
        except BisenetError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.parameters = changed
        if "rate" in own and self.scheduler is not None:
            self.scheduler.set_rate(changed.rate)
        segmenter = self.segmenter
        if "confidence_threshold" in own and segmenter is not None:
            self._labels.publish(segmenter.labels, changed.confidence_threshold)
        return SetParametersResult(successful=True)

    def _swap_model(self, parameters: Parameters) -> None:
        """Load while the current model keeps running, then replace it between two batches.

        At the same priority: at a lower one, loading could be preempted while it holds the GIL,
        which would delay frames too.
        """
        try:
            self._use(self._load(parameters))
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
                    camera.warning,
                    self.enabled,
                    camera.matched_publishers(),
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
        segmenter = self.segmenter
        if segmenter is None:
            return values
        height, width = segmenter.input_size
        device = segmenter.compute.device
        used = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
        return {
            "device": str(device),
            "precision": segmenter.compute.precision,
            "engine": segmenter.engine.name,
            "weights": self._weights,
            "num_classes": str(len(segmenter.labels)),
            "input_size": f"{width}x{height}",
            "gpu_memory_mb": f"{used / 2**20:.1f}",
            **values,
        }
