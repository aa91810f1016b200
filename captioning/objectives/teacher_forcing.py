"""Maximum likelihood: every next word is predicted from the true words before it."""

from captioning.batch import Batch
from captioning.captioner import Captioner
from captioning.objectives.base import Loss, Objective
from captioning.schedules import Progress
from captioning.settings import check_probability


class TeacherForcing(Objective):
    """Minimises KL[P‖Q] (Huszár 2015, section 2), optionally with label smoothing.

    `label_smoothing` in [0, 1) is the share of the target that is spread over the vocabulary.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        check_probability("label_smoothing", label_smoothing)
        self.label_smoothing = label_smoothing

    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        """Return the mean cross entropy over the words of the batch, in nats."""
        outputs = captioner(captioner.encode(batch), batch.captions)
        value = captioner.decoder.cross_entropy(
            outputs, batch.captions.targets, self.label_smoothing
        )
        return Loss(value, {"cross_entropy": value.detach()})
