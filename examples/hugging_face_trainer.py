"""BiRA-Net in the Trainer of Hugging Face: pip install transformers."""

import tempfile

import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

import biranet


class ForTrainer(nn.Module):
    """What the Trainer asks for: a model that takes the batch's columns by name, and gives its loss."""

    def __init__(self, **model):
        super().__init__()
        self.model = biranet.create_model(**model)
        self.loss = biranet.GradingLoss(weight_scale="unit")

    def forward(self, pixel_values, labels=None):
        logits = self.model(pixel_values).logits
        return {"logits": logits} if labels is None else {"loss": self.loss(logits, labels), "logits": logits}


class Photos(Dataset):
    """Images (3, H, W) with their grades; here drawn, not normalized and far too small."""

    def __len__(self):
        return 20

    def __getitem__(self, row):
        pixels = torch.from_numpy(biranet.draw_photo(row % 5, row, 64, 64))
        return {"pixel_values": pixels.permute(2, 0, 1) / 255, "labels": row % 5}


def compute_metrics(evaluated):
    """Kappa with its interval over patients, each with two photographs here."""
    patients = [row // 2 for row in range(len(evaluated.label_ids))]
    metrics = biranet.measure(evaluated.label_ids, evaluated.predictions.argmax(axis=1), groups=patients)
    low, high = metrics["ci"]["quadratic_weighted_kappa"] or (float("nan"),) * 2  # none while there is one prediction
    return {"kappa": metrics["quadratic_weighted_kappa"], "kappa_low": low, "kappa_high": high}


trainer = Trainer(
    model=ForTrainer(model_name="biranet", backbone="test_resnet", pretrained=False),
    args=TrainingArguments(
        output_dir=tempfile.mkdtemp(),
        num_train_epochs=2,
        learning_rate=1e-3,
        per_device_train_batch_size=10,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    ),
    train_dataset=Photos(),
    eval_dataset=Photos(),
    compute_metrics=compute_metrics,
)
trainer.train()
figures = trainer.evaluate()
print(f"kappa {figures['eval_kappa']:.3f} [{figures['eval_kappa_low']:.3f}, {figures['eval_kappa_high']:.3f}]")
