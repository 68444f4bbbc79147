"""Fine-tune the model that ships on photographs of another clinic (here: drawn ones), and measure what it brought."""

import tempfile
from pathlib import Path

import torch
from PIL import Image

import biranet

torch.manual_seed(0)
folder = Path(tempfile.mkdtemp())
files, grades = [], torch.arange(12) % 5
for seed, grade in enumerate(grades):
    files.append(folder / f"{seed}.png")
    Image.fromarray(biranet.draw_photo(int(grade), seed)).save(files[-1])

grader = biranet.load("idrid_lite0", engine="torch")  # ONNX Runtime, the quicker one, trains nothing
model, info = grader.model, grader.info  # the network, and how it wants its photographs
mean, std = (torch.tensor(each)[:, None, None] for each in (info.mean, info.std))


def as_image(file):
    """A photograph as training and grading see it: cut to its field, (3, H, W), normalized."""
    pixels = torch.from_numpy(biranet.prepare_photo(file, info.preparation).pixels)
    return (pixels.permute(2, 0, 1) / 255 - mean) / std


def kappa(subset):
    """Quadratic weighted kappa and its interval, by the grades that the model gives now."""
    predicted = [prediction.grade for prediction in grader.grade_many([files[each] for each in subset], workers=0)]
    metrics = biranet.measure(grades[subset], predicted, groups=[each // 2 for each in subset])  # two eyes a patient
    low, high = metrics["ci"]["quadratic_weighted_kappa"]
    return f"{metrics['quadratic_weighted_kappa']:.2f} [{low:.2f}, {high:.2f}]"


learned_from, held_back = list(range(6)), list(range(6, 12))  # no patient is in both
print(f"before: kappa {kappa(held_back)}")
images = torch.stack([as_image(files[each]) for each in learned_from])
weights = [weight for weight in model.parameters() if weight.requires_grad]  # the backbone stays as ImageNet left it
optimizer = torch.optim.AdamW(weights, lr=3e-4)
for _ in range(3):
    loss = biranet.grading_loss(model.train()(images).logits, grades[learned_from], weight_scale="unit")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"loss {loss.item():.3f}")
print(f"after: kappa {kappa(held_back)}; its thresholds are still the old ones: see biranet calibrate")
