"""From camera pixels in host memory to masks in host memory, by way of the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from bisenet_ros.checkpoints import ModelCard
from bisenet_ros.inference.cuda import backend
from bisenet_ros.inference.cuda.buffers import FrameBuffers, Size, Slot
from bisenet_ros.inference.cuda.network import fast_network
from bisenet_ros.inference.cuda.plain import Outputs
from bisenet_ros.inference.cuda.runner import Runner
from bisenet_ros.inference.cuda.streams import Mark, streams_of
from bisenet_ros.inference.cuda.tables import fit_grid, levels, spread_grid
from bisenet_ros.inference.device import Compute
from bisenet_ros.inference.result import Result, Times, Wanted
from bisenet_ros.networks import SegmentationNetwork

SLOTS = 2  # batches under way: one uploads while one computes


@dataclass
class Ticket:
    """A batch under way; :meth:`CudaPath.collect` turns it into results.

    Attributes:
        outputs: one an image, in host memory; not yet written when the ticket is handed out.
        marks: when staging began, the network's input was ready, the logits were, and all was back.
    """

    outputs: list[Outputs]
    marks: tuple[Mark, Mark, Mark, Mark]


class CudaPath:
    """The whole way of a batch on one GPU, for one thread at a time.

    Called, it returns when the results are there. To let the copies of one batch run beside the
    network of another, ``submit`` the next batch before the last is ``collect``-ed: up to
    ``SLOTS`` batches are under way, a further ``submit`` waits for the oldest. On the CPU it runs
    without streams, graphs and pinned memory, which is how it is tested without a GPU.

    Args:
        network: in eval mode; it is copied, not changed.
        card: of the weights: mean, std, colours.
        compute: device and precision.
        input_size: (height, width) of the network's input, multiples of its stride.
        graphs: capture the network in CUDA graphs; None for wherever there are any.
        compiled: let torch.compile fuse the network's layers, a minute for each batch size.

    Attributes:
        name: of the engine, as the parameter ``engine`` names it.
        compute: device and precision; its ``fallback`` says so if Triton or the graph of a single
            image does not work here.

    Raises:
        torch.cuda.OutOfMemoryError: from any call, if the GPU has no room; the batch is lost, the
            path can be used again.
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
        self.streams = streams_of(compute.device)
        if graphs is None:
            graphs = compute.device.type == "cuda"
        with self.streams.on("compute"):
            self.pixels, why_plain = backend.choose(compute.device, len(card.labels), compute.dtype)
            self.runner = Runner(
                fast_network(network, compute, self.pixels.bias_relu, compiled),
                compute,
                padded=(_up(input_size[0], network.multiple), _up(input_size[1], network.multiple)),
                spread=(input_size[0] // network.stride, input_size[1] // network.stride),
                streams=self.streams,
                graphs=graphs,
            )
            self.levels = levels(card.mean, card.std, compute.dtype).to(compute.device)
            self.palette = torch.from_numpy(card.labels.palette()).to(compute.device)
            self.runner.images(1)  # now, so that what does not work here is known from the start
        notes = "; ".join(filter(None, (compute.fallback, why_plain, self.runner.fallback)))
        self.compute = replace(compute, fallback=notes)
        self._slots = [Slot(self._buffers) for _ in range(SLOTS)]
        self._turn = 0

    @property
    def engine(self) -> CudaPath:
        """What runs the network: on the GPU, network and pixels are one."""
        return self

    def __call__(
        self, images: Sequence[np.ndarray], orders: Sequence[str], wanted: Sequence[Wanted]
    ) -> list[Result]:
        """Segment a batch; see :meth:`submit` for the arguments."""
        return self.collect(self.submit(images, orders, wanted))

    @torch.inference_mode()
    def submit(
        self, images: Sequence[np.ndarray], orders: Sequence[str], wanted: Sequence[Wanted]
    ) -> Ticket:
        """Set a batch going and return before it is done.

        Args:
            images: (H, W, 3) uint8 each, any sizes and strides; free to change on return.
            orders: ``rgb`` or ``bgr``, one an image.
            wanted: what to build, one an image.
        """
        slot = self._next_slot()
        try:
            return self._enqueue(slot, images, orders, wanted)
        except Exception:
            self.streams.drain()  # what was begun may still write to the slot's buffers
            raise

    def collect(self, ticket: Ticket) -> list[Result]:
        """Wait for a batch; results in the order of its images, in memory the caller owns."""
        begun, ready, forwarded, done = ticket.marks
        self.streams.finish(done)
        took = self.streams.milliseconds
        times = Times(
            preprocess=took(begun, ready),
            forward=took(ready, forwarded),
            postprocess=took(forwarded, done),
        )
        return [
            Result(out.mask.numpy(), _array(out.confidence), _array(out.overlay), times)
            for out in ticket.outputs
        ]

    def _next_slot(self) -> Slot:
        """The slot whose turn it is, once its last batch is through."""
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
        wanted: Sequence[Wanted],
    ) -> Ticket:
        streams, count = self.streams, len(images)
        with streams.on("compute"):
            network_input = self.runner.images(count)
            frames = slot.take([(image.shape[0], image.shape[1]) for image in images])
        begun = streams.mark("upload")
        self._upload(frames, images)
        streams.wait("compute", streams.mark("upload"))
        with streams.on("compute"):
            for frame, order, image_input in zip(frames, orders, network_input, strict=True):
                self.pixels.fit(frame.raw, image_input, frame.fit, self.levels, order)
            ready = streams.mark("compute")
            logits = self.runner.run(count)
            forwarded = streams.mark("compute")
            for frame, order, scores, wish in zip(frames, orders, logits, wanted, strict=True):
                self._classify(frame, order, scores, wish)
        streams.wait("download", streams.mark("compute"))
        with streams.on("download"):
            outputs = [
                frame.download(wish.confidence, wish.overlay)
                for frame, wish in zip(frames, wanted, strict=True)
            ]
        slot.done = streams.mark("download")
        return Ticket(outputs, (begun, ready, forwarded, slot.done))

    def _upload(self, frames: list[FrameBuffers], images: Sequence[np.ndarray]) -> None:
        """Send the images, each as soon as it is staged."""
        for frame, image in zip(frames, images, strict=True):
            frame.stage(image)
            with self.streams.on("upload"):
                frame.upload()

    def _classify(
        self, frame: FrameBuffers, order: str, scores: torch.Tensor, wish: Wanted
    ) -> None:
        out = frame.outputs(wish.confidence, wish.overlay)
        self.pixels.classify(
            scores, frame.raw, frame.spread, self.palette, order, wish.threshold, wish.alpha, out
        )

    def _buffers(self, size: Size) -> FrameBuffers:
        device, runner = self.palette.device, self.runner
        fit = fit_grid(size, self.input_size, runner.padded, device)
        return FrameBuffers(size, fit, spread_grid(runner.spread, size, device), device)


def _up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple


def _array(part: torch.Tensor | None) -> np.ndarray | None:
    return None if part is None else part.numpy()
