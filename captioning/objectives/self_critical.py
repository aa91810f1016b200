"""Self-critical training: sample captions and reinforce those that a metric scores higher."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from captioning.batch import Batch, Captions
from captioning.captioner import Captioner
from captioning.data.dataset import ImageId
from captioning.errors import InputError
from captioning.metrics.diversity import enders
from captioning.objectives.base import Loss, Objective
from captioning.objectives.policy_gradient import PolicyGradient
from captioning.objectives.rewards import CaptionReward, CiderDReward
from captioning.schedules import Progress
from captioning.text import END, PAD, SPECIAL


class SelfCritical(Objective):
    """Maximises the expected reward of sampled captions (Rennie et al. 2017).

    By default the reward is CIDEr-D and a caption's baseline is the mean reward of the image's
    other samples (Luo 2020); `PolicyGradient(samples=1, baseline="greedy")` is as first published.
    The end of a caption counts as a word, in captions, references and document frequencies:
    otherwise (`count_end: false`) stopping after "with a" costs nothing, and captions do.
    """

    ending: Tensor  # which tokens a caption may end with

    def __init__(
        self,
        estimator: PolicyGradient | None = None,
        reward: CaptionReward | None = None,
        count_end: bool = True,
    ) -> None:
        super().__init__()
        self.estimator = estimator or PolicyGradient()
        self.reward = reward or CiderDReward()
        self.count_end = count_end
        self.least_images = self.estimator.least_images

    def prepare(self, captioner: Captioner, references: Mapping[ImageId, Sequence[str]]) -> None:
        """Split the references of every training image into words, as the captioner would."""
        vocabulary = captioner.vocabulary
        end = (SPECIAL[END],) if self.count_end else ()
        split = [[(*vocabulary.split(t), *end) for t in texts] for texts in references.values()]
        self.reward.prepare(split)
        self.numbers = {image_id: number for number, image_id in enumerate(references)}
        self.tokens = vocabulary.tokens
        plain = [words[: len(words) - len(end)] for texts in split for words in texts]
        ending = enders(plain)
        mask = torch.tensor([word in ending for word in self.tokens])
        self.register_buffer("ending", mask.to(captioner.feature_mean.device), persistent=False)

    def forward(self, captioner: Captioner, batch: Batch, *, turn: str, progress: Progress) -> Loss:
        """Return the policy-gradient loss; log the share of captions that end badly, too."""
        images = self.number(batch)
        bad: list[Tensor] = []

        def reward(captions: Captions, _: Tensor | None) -> Float[Tensor, " b"]:
            bad.append(self.bad_endings(captions))
            words = [self.words(row) for row in captions.tokens.tolist()]
            earned = self.reward(words, [images[i] for i in captions.image_index.tolist()])
            return torch.as_tensor(earned).to(captioner.feature_mean)

        loss = self.estimator.loss(captioner, captioner.encode(batch), reward, progress)
        return Loss(loss.value, loss.logs | {"bad_endings": bad[0]})

    def number(self, batch: Batch) -> list[int]:
        """Return the batch's images as numbers of training images."""
        try:
            return [self.numbers[image_id] for image_id in batch.image_ids]
        except KeyError as error:
            raise InputError(
                "self-critical training has references for the training split only, got "
                f"image {error}"
            ) from error

    def words(self, tokens: Sequence[int]) -> list[str]:
        """Convert a generated caption to words, including its end if that counts."""
        counted = [token for token in tokens if token != PAD and (self.count_end or token != END)]
        return [self.tokens[token] for token in counted]

    def bad_endings(self, captions: Captions) -> Float[Tensor, ""]:
        """Return the share of captions cut off, empty or not ending in one of `enders`."""
        last = captions.tokens.gather(1, captions.lengths[:, None] - 1)
        before = captions.tokens.gather(1, (captions.lengths[:, None] - 2).clamp(min=0))
        good = (last == END) & (captions.lengths[:, None] > 1) & self.ending[before]
        return 1 - good.float().mean()
