"""The lifecycle node: parameters, states, and who runs when."""

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
from bisenet_ros.ros.segmentation.release_memory import give_back
from bisenet_ros.ros.segmentation.scheduler import NANO, Scheduler
from bisenet_ros.ros.segmentation.services import Services
from bisenet_ros.ros.segmentation.worker import Worker

FOLLOW_PERIOD = 0.25  # seconds between looks at who publishes
DIAGNOSTICS_PERIOD = 1.0

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class SegmentationNode(LifecycleNode):
    """Configure loads the model and advertises; activate listens and computes.

    Raises:
        ArgumentError: a parameter given at start is out of range.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("bisenet", **kwargs)
        self.failure: BisenetError | None = None  # why the last configure failed
        self.models: Models | None = None
        self.cameras: dict[str, Camera] = {}
        self.scheduler: Scheduler[ReceivedFrame] | None = None
        self.worker: Worker | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._jumps: object | None = None  # kept, or the clock would forget the callback
        self.started = time.monotonic()
        try:
            self.parameters: Parameters = declare(self)
        except ParameterException as error:
            raise ArgumentError(" ".join(str(error).split())) from error
        check_together(self.parameters)
        self.add_on_set_parameters_callback(self._set_parameters)
        self.enabled = True
        self._labels = labels.LabelTopics(self)
        self._own_services = Services(self, self._enable, self._reload)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # reports go on while sim time stands
        self.create_timer(DIAGNOSTICS_PERIOD, self._report, clock=steady)
        self.create_timer(FOLLOW_PERIOD, self._follow, clock=steady)

    # -- lifecycle ---------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the model, advertise the outputs."""
        self.failure = None
        try:
            check_together(self.parameters)
            self._use(self._load(self.parameters))
            self._make_cameras()
        except BisenetError as error:
            return self._refuse(error)
        except Exception as error:  # rclpy would swallow it: a full GPU, a broken driver, a bug
            self.get_logger().debug(traceback.format_exc())
            first = f"{type(error).__name__}: {error}".splitlines()[0]
            return self._refuse(BisenetError(f"the model cannot run: {first}"))
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the worker and listen to the cameras."""
        self._start()
        self._follow()
        facts = self._model_values()
        self.get_logger().info(
            f"ready: {facts['weights']} at {facts['input_size']} on {facts['device']} "
            f"{facts['precision']} by {facts['engine']}, listening to "
            + ", ".join(camera.topic for camera in self.cameras.values())
        )
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening and computing; the model stays loaded."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back the model and the outputs."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As deactivate and cleanup."""
        self._stop()
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, with nothing held."""
        self._stop()
        self._release()
        return SUCCESS

    def close(self) -> bool:
        """Stop everything for the end of the process; False if a batch is still computing."""
        return self._stop()

    # -- the model ---------------------------------------------------------------------------

    @property
    def segmenter(self) -> Segmenter | None:
        """The model in force, at the input size in force."""
        models = self.models
        return None if models is None else models.current

    def _load(self, parameters: Parameters) -> Models:
        """The model at its input size and, if adaptive, at the smaller ones; all warmed up."""
        if parameters.threads:
            torch.set_num_threads(parameters.threads)
            cv2.setNumThreads(parameters.threads)

        def load(size: tuple[int, int] | None) -> Segmenter:
            return Segmenter(
                parameters.weights,
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
        """Take the models from the next batch on, and say what their ids mean."""
        segmenter = models.current
        self.models = models
        self._weights = f"{segmenter.weights.name} {fingerprint(segmenter.weights)}"
        self._labels.publish(segmenter.labels, self.parameters.confidence_threshold)
        self.get_logger().info(f"engine {segmenter.engine.name}: {segmenter.engine.why}")
        if segmenter.compute.fallback:
            self.get_logger().warning(segmenter.compute.fallback)

    def _refuse(self, error: BisenetError) -> TransitionCallbackReturn:
        self.failure = error
        self._release()
        self.get_logger().fatal(str(error))
        return FAILURE

    # -- cameras and worker ------------------------------------------------------------------

    def _make_cameras(self) -> None:
        topics = self._topics()
        names = camera_names(topics)
        for name, topic in zip(names, topics, strict=True):
            prefix = "~" if len(topics) == 1 else f"~/{name}"
            self.cameras[name] = Camera(
                self, name, topic, prefix, self.parameters, self._submit, self.now
            )

    def _topics(self) -> list[str]:
        """The camera topics; remapping ``image`` names the one camera, as in other nodes."""
        own = f"{self.get_namespace().rstrip('/')}/image"
        remapped = self.resolve_topic_name("image")
        if not self.parameters.image_topics and remapped != own:
            return [remapped]
        return self.parameters.topics()

    def _submit(self, camera: str, frame: ReceivedFrame) -> bool:
        scheduler = self.scheduler
        if scheduler is None or not self.enabled:
            return False
        return scheduler.submit(camera, frame)

    def _start(self) -> None:
        simulated = bool(self.get_parameter("use_sim_time").value)
        rate, names = self.parameters.rate, list(self.cameras)
        if simulated:
            scheduler: Scheduler[ReceivedFrame] = Scheduler(names, rate, self._now_ns, wall=False)
            every = JumpThreshold(
                min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1)
            )
            self._jumps = self.get_clock().create_jump_callback(
                every, post_callback=lambda _: scheduler.wake()
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
        if models.ladder.note(time.monotonic(), seconds, 1 / rate if rate else 0.0):
            height, width = models.current.input_size
            self.get_logger().info(f"the network's input is {width}x{height} from now on")

    def _stop(self) -> bool:
        for camera in self.cameras.values():
            camera.unsubscribe()
        idle = True
        if self.worker is not None:
            idle = self.worker.stop()
        self.worker = self.scheduler = self._jumps = None
        return idle

    def _release(self) -> None:
        for camera in self.cameras.values():
            camera.close()
        self.cameras = {}
        self.models = None
        give_back()

    def _model(self) -> Segmenter:
        assert self.segmenter is not None
        return self.segmenter

    # -- parameters --------------------------------------------------------------------------

    def _set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Check all changes together, then take all or none."""
        try:
            own = {p.name: checked(p.name, p.value) for p in changes if p.name in FIELDS}
            for name in own:
                if self.cameras and not FIELDS[name].metadata["live"]:
                    raise ArgumentError(f"{name} cannot change while configured; run cleanup first")
            wanted = dataclasses.replace(self.parameters, **own)
            check_together(wanted)
            if "weights" in own and self.segmenter is not None:
                self._swap(wanted)
        except BisenetError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.parameters = wanted
        if "rate" in own and self.scheduler is not None:
            self.scheduler.set_rate(wanted.rate)
        return SetParametersResult(successful=True)

    def _swap(self, wanted: Parameters) -> None:
        """Load beside the model that runs, then take its place between two batches.

        At the same priority: at a lower one the loading would be put off while it holds Python's
        lock, and the frames with it.
        """
        try:
            self._use(self._load(wanted))
        except (RuntimeError, MemoryError) as error:
            raise BisenetError(f"{wanted.weights} cannot run: {error}".splitlines()[0]) from error

    # -- services ----------------------------------------------------------------------------

    def _enable(self, wanted: bool) -> str:
        """Work on frames, or let them pass; everything stays loaded and connected."""
        self.enabled = wanted
        return "enabled" if wanted else "disabled: frames are received and let go"

    def _reload(self) -> str:
        """Load the weights file anew, beside the old one."""
        if self.segmenter is None:
            raise BisenetError("nothing is loaded yet; configure the node first")
        self._swap(self.parameters)
        return f"loaded {self._weights}"

    # -- clock and reports -------------------------------------------------------------------

    def now(self) -> float:
        """Seconds on the node's clock, which is /clock under use_sim_time."""
        return self._now_ns() / NANO

    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _follow(self) -> None:
        if self.worker is not None:
            for camera in self.cameras.values():
                camera.listen()

    def _report(self) -> None:
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
        )

    def _model_values(self) -> dict[str, str]:
        values = {"uptime_s": f"{time.monotonic() - self.started:.1f}"}
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
