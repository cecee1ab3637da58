"""Model parallelism: one stage of the model in each rank, through which parts of a batch follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

from trainables.config import ParallelConfig, TrainConfig
from trainables.objectives import Objective
from trainables.parallel.ddp import Group, broadcast
from trainables.parallel.split import Layer, cut_points, layers_of, measured, part_of
from trainables.parallel.sums import average_buffers, copy_from_first, sum_gradients
from trainables.precision import lay_out, lower_precision, takes_channels_last

Schedule = ScheduleGPipe | Schedule1F1B


class Pipeline:
    """An Engine (see there) that holds one stage; the schedules are those of torch.distributed.pipelining.

    A batch's rows are cut into `micro_batches` parts, of two rows at least, since BatchNorm needs two. A schedule takes
    parts of one size; where they do not come out even, those of one row less follow as a batch of their own.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        config: TrainConfig,
        group: Group,
        input_shape: Sequence[int],
    ) -> None:
        layers = layers_of(model, input_shape)
        edges = [0, *broadcast(_points(model, layers, config.parallel, input_shape, group), group), len(layers)]
        start, stop = edges[group.stage], edges[group.stage + 1]
        self.module = part_of(model, layers[start:stop]).to(group.device)
        copy_from_first(self.module, group)
        self._channels_last = takes_channels_last(self.module, config, group.device)
        layout = torch.channels_last if self._channels_last else torch.contiguous_format
        self.module.to(memory_format=layout)  # type: ignore[call-overload]
        if config.compile is True:
            self.module.compile()
        self._group, self._config, self._objective = group, config.parallel, objective
        self._type = lower_precision(config, group.device)
        self._input = torch.zeros(input_shape, device="meta") if start == 0 else layers[start - 1].output
        self._output = layers[stop - 1].output
        self._schedules: dict[tuple[int, int, bool], Schedule] = {}
        self._batch: tuple[Tensor, Tensor, float | Tensor] | None = None

    @property
    def first(self) -> bool:
        return self._group.stage == 0

    @property
    def last(self) -> bool:
        return self._group.stage == self._group.stages - 1

    def backward(self, inputs: Tensor, targets: Tensor, weight: float | Tensor) -> Tensor:
        self._batch = inputs, targets, weight
        total = torch.zeros((), device=self._group.device)
        for start, size, count in self._parts(len(inputs)):
            losses: list[Tensor] = []
            rows = torch.arange(start, start + size * count)
            given = (inputs[start : start + size * count],) if self.first else ()
            schedule = self._schedule(size, count, training=True)
            schedule.step(*given, target=rows if self.last else None, losses=losses, return_outputs=False)
            total += sum((loss.detach() for loss in losses), start=torch.zeros_like(total))
        self._batch = None
        return total / weight

    def sync_gradients(self) -> None:
        sum_gradients(self.module.parameters(), self._group)

    def gradient_norm(self) -> Tensor:
        mine = nn.utils.get_total_norm([p.grad for p in self.module.parameters() if p.grad is not None])
        squared = mine.to(self._group.device).square()
        dist.all_reduce(squared, group=self._group.line)
        return squared.sqrt()

    def sync_buffers(self) -> None:
        average_buffers(self.module, self._group)

    def logits(self, inputs: Tensor) -> Tensor | None:
        outputs = []
        # Buffers made in inference mode could not be written to outside it.
        with torch.inference_mode(False), torch.no_grad():
            for start, size, count in self._parts(len(inputs)):
                given = (inputs[start : start + size * count],) if self.first else ()
                outputs.append(self._schedule(size, count, training=False).step(*given))
        return torch.cat(outputs) if self.last else None

    def whole_name(self, name: str) -> str:
        return name

    def gather(self, named: dict[str, Any]) -> dict[str, Any]:
        stages: list[dict[str, Any]] = [{}] * self._group.stages
        dist.all_gather_object(stages, named, group=self._group.line)
        return {name: value for stage in stages for name, value in stage.items()}

    def _parts(self, rows: int) -> Iterator[tuple[int, int, int]]:
        """(first row, rows of a micro-batch, micro-batches) for those of either size, the larger ones first."""
        parts = max(1, min(self._config.micro_batches, rows // 2))
        size, longer = divmod(rows, parts)
        if longer:
            yield 0, size + 1, longer
        yield longer * (size + 1), size, parts - longer

    def _schedule(self, size: int, count: int, training: bool) -> Schedule:
        """For `count` micro-batches of `size` rows; kept, since torch's have buffers of one shape."""
        key = size, count, training
        if key not in self._schedules:
            kind = Schedule1F1B if self._config.schedule == "1f1b" and count >= self._group.stages else ScheduleGPipe
            loss = self._loss if training else None
            self._schedules[key] = kind(self._stage(size, training), count, loss_fn=loss, scale_grads=False)
        return self._schedules[key]

    def _stage(self, rows: int, training: bool) -> PipelineStage:
        """With shapes given: left to find out, torch would run the stage on memory that nobody has written."""
        group, handed = self._group, self._type if training else None
        return PipelineStage(
            _Stage(self.module, handed, hands_over=not self.last, channels_last=self._channels_last),
            group.stage,
            group.stages,
            group.device,
            input_args=_batch_of(self._input, rows, None if self.first else handed, training and not self.first),
            output_args=_batch_of(self._output, rows, None if self.last else handed, training),
            group=group.line,
        )

    def _loss(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """Of a micro-batch: `rows` are its places in the batch."""
        assert self._batch is not None
        inputs, targets, weight = self._batch
        here = slice(int(rows[0]), int(rows[-1]) + 1)
        return self._objective(outputs.float(), targets[here], inputs[here]) * len(rows) * weight


class _Stage(nn.Module):
    """A stage as the schedules call it: what it hands over is as the next one's buffer."""

    def __init__(self, module: nn.Module, lower: torch.dtype | None, *, hands_over: bool, channels_last: bool) -> None:
        super().__init__()
        self.module, self._lower = module, lower
        self._hands_over, self._channels_last = hands_over, channels_last

    def forward(self, rows: Tensor) -> Tensor:
        with torch.autocast(rows.device.type, self._lower, enabled=self._lower is not None):
            out: Tensor = self.module(lay_out(rows, self._channels_last))
        return out.to(self._lower or out.dtype).contiguous() if self._hands_over else out


def _points(
    model: nn.Module, layers: Sequence[Layer], config: ParallelConfig, input_shape: Sequence[int], group: Group
) -> list[int]:
    """Where to cut; only rank 0's measurement counts, since clocks differ."""
    if config.balance == "time" and not config.cut:
        costs = measured(model, input_shape, group.device) if group.rank == 0 else [0.0] * len(layers)
    else:
        costs = [float(layer.parameters) for layer in layers]
    return cut_points(layers, config, costs)


def _batch_of(row: Tensor, rows: int, lower: torch.dtype | None, requires_grad: bool) -> Tensor:
    """As many such rows, without memory."""
    return torch.empty(rows, *row.shape, dtype=lower or row.dtype, device="meta", requires_grad=requires_grad)
