"""The GPU pipeline: from camera pixels to masks, both in host memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from bisenet_ros.checkpoints import ModelCard
from bisenet_ros.inference.cuda import backend
from bisenet_ros.inference.cuda.buffers import FrameBuffers, Layout, Size, Slot
from bisenet_ros.inference.cuda.network import fast_network
from bisenet_ros.inference.cuda.plain import ClassifyOutputs
from bisenet_ros.inference.cuda.runner import Runner
from bisenet_ros.inference.cuda.streams import Mark, streams_for
from bisenet_ros.inference.cuda.tables import (
    as_camera,
    byte_table,
    normalisation_table,
    resize_grid,
    upsample_grid,
)
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.result import OutputRequest, Result, Times
from bisenet_ros.label_map import LabelMap
from bisenet_ros.networks import SegmentationNetwork
from bisenet_ros.networks.layers import round_up
from bisenet_ros.projection.rotation import quarter_turns

SLOTS = 2  # batches in flight: one uploads while one computes
MAX_LABEL_MAPS = 8  # whose tables are kept on the GPU


@dataclass
class Ticket:
    """A batch in flight; :meth:`CudaPipeline.collect` waits for its results.

    Attributes:
        outputs: one per image, in host memory; not yet written when the ticket is returned.
        marks: staging begun, network input ready, logits ready, download finished.
    """

    outputs: list[ClassifyOutputs]
    marks: tuple[Mark, Mark, Mark, Mark]


class CudaPipeline:
    """Processes batches on one GPU, for one thread at a time.

    A call returns when the results are ready. To overlap the copies of one batch with the network
    of another, ``submit`` the next batch before calling ``collect`` for the last one: up to
    ``SLOTS`` batches are in flight, and a further ``submit`` waits for the oldest. On the CPU it
    runs without streams, graphs and pinned memory, so that it can be tested without a GPU.

    Args:
        network: in eval mode; copied, not changed.
        card: of the weights: mean, std, colours, temperature.
        compute: device and precision.
        input_size: (height, width) of the network's input, multiples of its ``input_step``.
        graphs: capture the network in CUDA graphs; None to do so on every GPU.
        compiled: let torch.compile fuse the network's layers, which takes a minute per batch size.

    Attributes:
        name: of the engine, as in the parameter ``engine``.
        compute: device and precision; its ``fallback`` reports if Triton or the CUDA graph for a
            single image does not work here.

    Raises:
        torch.cuda.OutOfMemoryError: from any call, if the GPU runs out of memory; the batch is
            lost, but the pipeline remains usable.
    """

    @torch.inference_mode()
    def __init__(
        self,
        network: SegmentationNetwork,
        card: ModelCard,
        compute: Compute,
        input_size: Size,
        graphs: bool | None = None,
        compiled: bool = False,
    ) -> None:
        self.input_size = input_size
        self.name = "compile" if compiled else "torch"
        self.streams = streams_for(compute.device)
        if graphs is None:
            graphs = compute.device.type == "cuda"
        with self.streams.on("compute"):
            self.pixels, why_plain = backend.choose(compute.device, len(card.labels), compute.dtype)
            self.runner = Runner(
                fast_network(network, compute, self.pixels.bias_relu, compiled),
                compute,
                padded=(
                    round_up(input_size[0], network.multiple),
                    round_up(input_size[1], network.multiple),
                ),
                logits_size=network.logits_size(input_size),
                streams=self.streams,
                graphs=graphs,
            )
            self.levels = normalisation_table(card.mean, card.std, compute.dtype).to(compute.device)
            self.palette = torch.from_numpy(card.labels.palette()).to(compute.device)
            self.temperature = card.temperature
            self.bytes = byte_table().to(compute.device)
            self.runner.images(1)  # now, so that fallbacks are known from the start
        notes = "; ".join(filter(None, (compute.fallback, why_plain, self.runner.fallback)))
        self.compute = replace(compute, fallback=notes)
        self._slots = [Slot(self._buffers) for _ in range(SLOTS)]
        self._label_maps: OrderedDict[LabelMap, tuple[torch.Tensor, torch.Tensor]] = OrderedDict()
        self._turn = 0

    @property
    def engine(self) -> CudaPipeline:
        """Itself: on the GPU, engine and pipeline are one object."""
        return self

    def __call__(
        self, images: Sequence[np.ndarray], orders: Sequence[str], requests: Sequence[OutputRequest]
    ) -> list[Result]:
        """Segment a batch; see :meth:`submit` for the arguments."""
        return self.collect(self.submit(images, orders, requests))

    @torch.inference_mode()
    def submit(
        self, images: Sequence[np.ndarray], orders: Sequence[str], requests: Sequence[OutputRequest]
    ) -> Ticket:
        """Start a batch and return before it is done.

        Args:
            images: (H, W, 3) uint8 each, any sizes and strides; may be modified after return.
            orders: ``rgb`` or ``bgr``, one per image.
            requests: the outputs to compute, one per image.
        """
        slot = self._next_slot()
        try:
            return self._enqueue(slot, images, orders, requests)
        except Exception:
            self.streams.drain()  # work already queued may still write to the slot's buffers
            raise

    def collect(self, ticket: Ticket) -> list[Result]:
        """Wait for a batch; results in the order of its images, in memory the caller owns."""
        begun, ready, forwarded, done = ticket.marks
        self.streams.finish(done)
        elapsed = self.streams.milliseconds
        times = Times(
            preprocess=elapsed(begun, ready),
            forward=elapsed(ready, forwarded),
            postprocess=elapsed(forwarded, done),
        )
        return [
            Result(out.mask.numpy(), _array(out.confidence), _array(out.overlay), times)
            for out in ticket.outputs
        ]

    def _next_slot(self) -> Slot:
        """The next slot in turn, once its last batch is done."""
        slot = self._slots[self._turn]
        self._turn = (self._turn + 1) % SLOTS
        if slot.done is not None:
            self.streams.finish(slot.done)
        return slot

    def _enqueue(
        self,
        slot: Slot,
        images: Sequence[np.ndarray],
        orders: Sequence[str],
        requests: Sequence[OutputRequest],
    ) -> Ticket:
        streams, count = self.streams, len(images)
        with streams.on("compute"):
            network_input = self.runner.images(count)
            frames = slot.take([_layout(i, r) for i, r in zip(images, requests, strict=True)])
        begun = streams.mark("upload")
        self._upload(frames, images)
        streams.wait("compute", streams.mark("upload"))
        with streams.on("compute"):
            for frame, order, upright in zip(frames, orders, network_input, strict=True):
                image_input = as_camera(upright, frame.layout.turns)
                self.pixels.preprocess(frame.raw, image_input, frame.resize, self.levels, order)
            ready = streams.mark("compute")
            logits = self.runner.run(count)
            forwarded = streams.mark("compute")
            for frame, order, scores, request in zip(frames, orders, logits, requests, strict=True):
                self._classify(frame, order, scores, request)
        streams.wait("download", streams.mark("compute"))
        with streams.on("download"):
            outputs = [
                frame.download(request.confidence, request.overlay)
                for frame, request in zip(frames, requests, strict=True)
            ]
        slot.done = streams.mark("download")
        return Ticket(outputs, (begun, ready, forwarded, slot.done))

    def _upload(self, frames: list[FrameBuffers], images: Sequence[np.ndarray]) -> None:
        """Upload each image as soon as it is staged."""
        for frame, image in zip(frames, images, strict=True):
            frame.stage(image)
            with self.streams.on("upload"):
                frame.upload()

    def _classify(
        self, frame: FrameBuffers, order: str, scores: torch.Tensor, request: OutputRequest
    ) -> None:
        out = frame.outputs(request.confidence, request.overlay)
        palette, groups = self._colours_and_groups(request.label_map)
        if request.overlay and frame.shrink is not None:
            small = frame.small.permute(2, 0, 1)
            self.pixels.preprocess(frame.raw, small, frame.shrink, self.bytes, order)
            order = "rgb"
        self.pixels.classify(
            as_camera(scores, frame.layout.turns),
            frame.small,
            frame.upsample,
            palette,
            order,
            request.threshold,
            request.alpha,
            out,
            groups,
            self.temperature,
        )

    def _colours_and_groups(
        self, label_map: LabelMap | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(256, 3) palette and (256,) groups of a label map on the device; uploaded once."""
        if label_map is None:
            return self.palette, None
        if label_map not in self._label_maps:
            tables = (label_map.labels.palette(), label_map.table())
            palette, groups = (torch.from_numpy(t).to(self.palette.device) for t in tables)
            self._label_maps[label_map] = palette, groups
            while len(self._label_maps) > MAX_LABEL_MAPS:
                self._label_maps.popitem(last=False)
        return self._label_maps[label_map]

    def _buffers(self, layout: Layout) -> FrameBuffers:
        device, runner, (size, out, turns) = self.palette.device, self.runner, layout
        return FrameBuffers(
            layout,
            resize_grid(size, self.input_size, runner.padded, device, turns),
            upsample_grid(runner.logits_size, out, device, turns),
            None if out == size else resize_grid(size, out, out, device),
            device,
        )


def _layout(image: np.ndarray, request: OutputRequest) -> Layout:
    height, width = image.shape[:2]
    return Layout(
        (height, width), request.output_size(height, width), quarter_turns(request.rotation)
    )


def _array(part: torch.Tensor | None) -> np.ndarray | None:
    return None if part is None else part.numpy()
