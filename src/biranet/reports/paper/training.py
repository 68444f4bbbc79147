"""The methods of a report: how the network was trained."""

from collections.abc import Iterator, Mapping

from biranet.config import OptimizerConfig
from biranet.reports.fact_kinds import EpochFact, ModelFact, StartFact, TrainedOnFact, TrainingFact
from biranet.reports.facts import (
    DIVISION_FACT,
    EPOCH_FACT,
    MODEL_FACT,
    STARTED_FROM_FACT,
    TRAINED_ON_FACT,
    TRAINING_FACT,
    Fact,
)
from biranet.reports.fold_facts import DivisionFact
from biranet.reports.paper.patients import by_patient, divided_patients, doubt_of
from biranet.reports.paper.references import DATA_SETS
from biranet.reports.paper.wording import as_markdown, capitalized, enumerate_words, span
from biranet.training_record import IMAGENET, RANDOM, TrainingRun, TrainingSettings
from biranet.words import counted

_OPTIMIZERS = {
    "sgd": "by stochastic gradient descent with a momentum of 0.9 [@sutskever2013momentum]",
    "adamw": "by AdamW [@loshchilov2019adamw]",
}
_SCHEDULES = {
    "plateau": "the rate was divided by ten after six epochs without a higher kappa on the validation photographs",
    "cosine": "the rate rose linearly over the first tenth of the steps and then fell to zero along a half cosine "
    "[@loshchilov2017sgdr]",
    "constant": "the rate was constant",
}
_AUGMENTATIONS = {
    "none": "Photographs were not augmented.",
    "flips": "Photographs were augmented by horizontal flips.",
    "fundus": "Photographs were augmented by horizontal flips, rotations by any angle, scaling by up to 10 %, and "
    "small changes of brightness, gamma and colour.",
}
_STRIDES = {"stem": 2, "stage1": 4, "stage2": 8, "stage3": 16}
_DEVICES = {"cpu": "a CPU", "cuda": "a GPU", "mps": "a GPU"}


def describe_training(facts: Mapping[str, Fact]) -> Iterator[str]:
    """Say how the network was trained, sentence by sentence; no more than is known.

    Args:
        facts: What is known of the answers.
    """
    trained_on, training, model = facts.get(TRAINED_ON_FACT), facts.get(TRAINING_FACT), facts.get(MODEL_FACT)
    if not isinstance(trained_on, TrainedOnFact):
        if trained_on is not None:
            yield f"The model was trained on {as_markdown(str(trained_on))}."
        return
    source = _source(trained_on)
    if not isinstance(training, TrainingFact):
        on = f" on photographs{source}" if source else ""
        subject = "Each model" if trained_on.other_folds else "The model"
        yield f"{subject} was trained{on} with the random seed {trained_on.seed}."
        yield from _describe_epoch(facts.get(EPOCH_FACT))
        return
    patients = divided_patients(facts)
    doubt = doubt_of(patients) if patients else ""
    photos = _photos(training, source, doubt, folds=isinstance(facts.get(DIVISION_FACT), DivisionFact))
    yield from _describe_start(training, facts.get(STARTED_FROM_FACT), probe=_is_probe(model))
    if _is_probe(model):
        yield from _describe_fit(photos, training.settings, trained_on.seed, by_patient(patients))
        return
    yield from _describe_steps(photos, training.settings)
    yield _describe_loss(training.settings.optimizer)
    yield _describe_draws(training.settings)
    yield _AUGMENTATIONS[training.settings.augmentation]
    yield from _describe_end(training, facts.get(EPOCH_FACT))
    yield (
        f"The random seed was {trained_on.seed}, and training was done in "
        f"{'bfloat16 mixed' if training.settings.precision == 'bf16' else 'single'} precision on "
        f"{_DEVICES.get(training.settings.device, as_markdown(training.settings.device))}."
    )


def _is_probe(model: Fact | None) -> bool:
    return isinstance(model, ModelFact) and model.model == "probe"


def _source(trained_on: TrainedOnFact) -> str:
    """Name a published data set; the name of a folder means nothing to a reader."""
    if trained_on.source not in DATA_SETS:
        return ""
    name, reference = DATA_SETS[trained_on.source]
    return f" from {name} [@{reference}]"


def _photos(training: TrainingFact, source: str, doubt: str, *, folds: bool) -> str:
    photos, patients = ([getattr(run, name) for run in training.runs] for name in ("photos", "patients"))
    of_patients = f" of {span(patients)} patients{doubt}" if patients != photos else ""
    if folds:
        return f"{span(photos)} photographs{of_patients} from the other folds"
    return f"{counted(photos[0], 'photograph')}{of_patients}{source}"


def _describe_start(training: TrainingFact, start: Fact | None, *, probe: bool) -> Iterator[str]:
    """Say which weights training started from, and which of them stayed."""
    weights = {
        IMAGENET: "weights pretrained on ImageNet [@deng2009imagenet]",
        RANDOM: "random weights",
    }.get(training.settings.backbone_start, f"the weights of the file {as_markdown(training.settings.backbone_start)}")
    begun = f"The backbone was initialised with {weights}"
    if isinstance(start, StartFact):
        before = f", which had been trained on {_known_name(start.trained_on)}" if start.trained_on else ""
        begun = f"All weights were initialised with those of the model {as_markdown(start.file)}{before}"
    if training.freeze == "none" and not probe:
        yield f"{begun}, and all layers were trained."
        return
    layers = "the layers of the backbone"
    if not probe and training.freeze in _STRIDES:
        layers = f"the layers of the backbone up to a stride of {_STRIDES[training.freeze]}"
    yield f"{begun}; {layers} were not trained any further."


def _known_name(source: str) -> str:
    return DATA_SETS[source][0] if source in DATA_SETS else as_markdown(source)


def _describe_fit(photos: str, settings: TrainingSettings, seed: int, by: str) -> Iterator[str]:
    """Say how a linear probe was fitted."""
    balanced = ", in which every grade had the same weight" if settings.balance and not settings.class_weights else ""
    yield (
        f"The linear layer was fitted to {photos} by multinomial logistic regression with an L2 penalty{balanced}; the "
        f"penalty was chosen by cross-validation among them, {by} (random seed {seed})."
    )


def _describe_steps(photos: str, settings: TrainingSettings) -> Iterator[str]:
    optimizer = settings.optimizer
    yield (
        f"Training was done on {photos} in batches of {settings.batch_size} {_OPTIMIZERS[optimizer.optimizer]} with a "
        f"learning rate of {optimizer.lr:g} and a weight decay of {optimizer.weight_decay:g}; "
        f"{_SCHEDULES[optimizer.schedule]}."
    )
    if optimizer.clip_norm is not None:
        yield f"Gradients were scaled to a norm of at most {optimizer.clip_norm:g}."


def _describe_loss(optimizer: OptimizerConfig) -> str:
    loss = "The loss was the cross-entropy"
    if optimizer.loss == "grading":
        scale = "as published" if optimizer.weight_scale == "paper" else "scaled to a mean of 1"
        loss = (
            "The loss was the grading loss of BiRA-Net [@zhao2019biranet], a cross-entropy weighted by the distance "
            f"between predicted and true grade, with weights {scale}"
        )
    if optimizer.label_smoothing:
        half = f"{optimizer.label_smoothing / 2:.3g}"
        loss += f", on labels smoothed by giving a share of {half} to each of the neighbouring grades"
    return f"{loss}."


def _describe_draws(settings: TrainingSettings) -> str:
    count = f" {settings.draws_per_epoch:,}" if settings.draws_per_epoch else ""
    if not settings.balance:
        return f"An epoch was{f'{count} photographs' if count else ' one pass over all photographs'} in random order."
    epoch = f"for an epoch,{count} photographs were" if count else "photographs were"
    if settings.class_weights:
        weights = enumerate_words([f"{weight:g}" for weight in settings.class_weights])
        chances = f"with relative chances of {weights} for a photograph of grades 0 to 4"
    else:
        chances = "so that every grade was seen about equally often"
    return f"{capitalized(epoch)} drawn with replacement {chances}."


def _describe_end(training: TrainingFact, epoch: Fact | None) -> Iterator[str]:
    """Say how long training was, and which weights were taken."""
    settings, runs = training.settings, training.runs
    validation = [run.validation_photos for run in runs]
    ended = [run.epochs for run in runs if run.epochs is not None]
    if not any(validation):
        yield f"Training ran for {_count_epochs(ended or [settings.epochs])}, and the final weights were used."
        return
    stop = ""
    if settings.early_stop:
        photos = f"{span(validation)} validation photographs"
        stop = f", or until kappa on {photos} had not risen for {settings.early_stop} epochs"
    yield f"Training ran for {_count_epochs([settings.epochs])}{' at most' if stop else ''}{stop}."
    best = [run.best_epoch for run in runs if run.best_epoch is not None]
    chosen = len(best) == len(runs) and _is_chosen(runs[0], epoch)
    if chosen and len(ended) == len(runs):
        kappa = epoch.validation_kappa if isinstance(epoch, EpochFact) else None
        had = "" if kappa is None else f" ({kappa:.2f})"
        early = min(ended) < settings.epochs
        yield (
            f"{f'It ended after {_count_epochs(ended)}, and the' if early else 'The'} weights after {_epochs(best)}, "
            f"with the highest quadratic weighted kappa on the {span(validation)} validation photographs{had}, were "
            "used."
        )
    else:
        yield from _describe_epoch(epoch)


def _count_epochs(epochs: list[int]) -> str:
    return f"{span(epochs)} epoch{'' if max(epochs) == 1 else 's'}"


def _epochs(best: list[int]) -> str:
    return f"epoch {best[0]}" if min(best) == max(best) else f"epochs {span(best)}"


def _is_chosen(run: TrainingRun, epoch: Fact | None) -> bool:
    """Whether the weights are those of the best epoch; those of folds always are."""
    return not isinstance(epoch, EpochFact) or epoch.epoch == run.best_epoch


def _describe_epoch(epoch: Fact | None) -> Iterator[str]:
    """Say which epoch's weights were used, where no more is known."""
    if isinstance(epoch, EpochFact) and epoch.epoch:
        chosen = " and had been chosen with a look at the validation part" if epoch.chosen_by else ""
        yield f"The weights were those after epoch {epoch.epoch}{chosen}."
