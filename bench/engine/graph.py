"""Several steps of training as one captured CUDA graph: one launch instead of thousands."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.engine.batches import Block
from bench.engine.steps import Compiled, Eager, Mode
from bench.errors import first_line

STEPS_A_LAUNCH = 16
WARM_UP = 3

Capture = Callable[[Callable[[], None]], Callable[[], None]]


def cuda_graph(work: Callable[[], None]) -> Callable[[], None]:
    """Record ``work`` without running it; what is returned runs it."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    replay: Callable[[], None] = graph.replay
    return replay


class Captured:
    """Steps that run from a graph over buffers that never move.

    The steps of a block that do not fill a launch run one by one.

    Args:
        steps: what one step is; a compiled one is captured as well as an eager one.
        capture: records a function and gives back what replays it.
        notice: told why, in one line, if the step cannot be captured.
    """

    def __init__(
        self,
        steps: Eager | Compiled,
        capture: Capture = cuda_graph,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.steps, self.capture, self.notice = steps, capture, notice
        self.eager = steps.eager if isinstance(steps, Compiled) else steps
        self.replay: Callable[[], None] | None = None
        self.failed = False

    @property
    def ran(self) -> Mode:
        """``compile`` stands for a captured step that is compiled, too."""
        return self.steps.ran if self.failed or isinstance(self.steps, Compiled) else "graph"

    def run(self, block: Block, beta: Tensor, temperature: Tensor) -> Tensor:
        found: list[Tensor] = []  # (S', R) each
        start = 0
        while len(block) - start >= STEPS_A_LAUNCH and not self.failed:
            part = block.part(start, start + STEPS_A_LAUNCH)
            if self.replay is None and not self._record(part, beta, temperature):
                break
            self._fill(part, beta, temperature)
            assert self.replay is not None  # recorded just now, or before
            self.replay()
            found.append(self.losses.clone())
            start += STEPS_A_LAUNCH
        if start < len(block):
            found.append(self.steps.run(block.part(start, len(block)), beta, temperature))
        return torch.cat(found)

    def _fill(self, part: Block, beta: Tensor, temperature: Tensor) -> None:
        self.block.x.copy_(part.x)
        for name, value in self.block.noise.items():
            value.copy_(part.noise[name])
        self.beta.copy_(beta)
        self.temperature.copy_(temperature)

    def _record(self, part: Block, beta: Tensor, temperature: Tensor) -> bool:
        noise = {name: value.clone() for name, value in part.noise.items()}
        self.block = Block(part.x.clone(), noise)
        self.beta, self.temperature = beta.clone(), temperature.clone()
        self.losses = beta.new_zeros((STEPS_A_LAUNCH, len(beta)), dtype=torch.float64)
        restore = self.eager.adam.snapshot()
        try:
            self._warm_up(part, beta, temperature)
            self.replay = self.capture(self._work)
        except Exception as error:
            self.failed = True
            reason = first_line(error)
            self.notice(f"the step cannot be captured, so it runs without: {reason}")
        restore()
        return not self.failed

    def _warm_up(self, part: Block, beta: Tensor, temperature: Tensor) -> None:
        """Steps whose results are thrown away: libraries allocate and choose kernels in them."""
        some = part.part(0, WARM_UP)
        if not beta.is_cuda:
            self.steps.run(some, beta, temperature)
            return
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.steps.run(some, beta, temperature)
        torch.cuda.current_stream().wait_stream(stream)

    def _work(self) -> None:
        self.losses.copy_(self.steps.run(self.block, self.beta, self.temperature))
