"""The methods of a report: the network, and the linear probe beside it."""

from collections.abc import Iterator, Mapping

from biranet.reports.fact_kinds import ModelFact
from biranet.reports.facts import DIVISION_FACT, MODEL_FACT, Fact
from biranet.reports.fold_facts import DivisionFact
from biranet.reports.paper.patients import by_patient, divided_patients
from biranet.reports.paper.references import backbone_reference
from biranet.reports.paper.wording import as_markdown, number_word

_NETWORKS = {
    "biranet": "BiRA-Net [@zhao2019biranet], a network of two attention streams joined by bilinear pooling, on",
    "ranet": "RA-Net, which is BiRA-Net [@zhao2019biranet] with a single attention stream, on",
    "plain": "a convolutional network with global average pooling and a linear layer on",
    "probe": "a linear probe [@alain2016probes], a linear layer on the globally averaged features of",
}


def describe_model(facts: Mapping[str, Fact], tables: int) -> Iterator[str]:
    """Say what the network was, sentence by sentence.

    Args:
        facts: What is known of the answers.
        tables: From how many tables they come.
    """
    model, division = facts.get(MODEL_FACT), facts.get(DIVISION_FACT)
    if tables > 1:
        yield f"The answers of {number_word(tables)} tables were pooled; what is said of them holds for all of them."
    if isinstance(model, ModelFact) and model.model in _NETWORKS:
        family = backbone_reference(model.backbone)
        cited = f" [@{family}]" if family else ""
        of_folds = f"Each of the {number_word(division.folds)} models" if isinstance(division, DivisionFact) else ""
        subject = f"{of_folds or 'The model'} was"
        yield (
            f"{subject} {_NETWORKS[model.model]} the backbone {as_markdown(model.backbone)}{cited} as implemented in "
            f"timm [@wightman2019timm]; its input was an image of {_square(model.network_px or model.image_size)}."
        )
        if model.test_time_flip:
            yield "The probabilities for a photograph and for its mirror image were averaged."
        if model.network_px:
            yield (
                "A lesion branch on the stages of the same backbone looked for microaneurysms, haemorrhages and hard "
                f"and soft exudates in the image of {_square(model.image_size)}, and a linear function of what it "
                "found was added to the logarithms of the probabilities."
            )
    elif model is not None:
        yield f"The model was {as_markdown(str(model))}."


def _square(side_px: int) -> str:
    return f"{side_px} × {side_px} pixels"


def describe_probe(facts: Mapping[str, Fact]) -> Iterator[str]:
    """Say what the linear probe beside the model was."""
    each = " of each fold" if DIVISION_FACT in facts else ""
    yield (
        f"As a reference, a linear probe [@alain2016probes] was fitted to the same training photographs{each}: a "
        "multinomial logistic regression with an L2 penalty on the globally averaged features of the same backbone, "
        "whose weights were those from before the training. The penalty was chosen by cross-validation among "
        f"the training photographs, {by_patient(divided_patients(facts))}, and the probe graded the same photographs "
        "as the model."
    )
