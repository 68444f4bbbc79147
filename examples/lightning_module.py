"""BiRA-Net in a LightningModule: pip install lightning."""

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

import biranet


class GradingModule(lightning.LightningModule):
    """Learns by the grading loss, and measures what it has learned by patient."""

    def __init__(self, lr=1e-3, **model):
        super().__init__()
        self.save_hyperparameters()
        self.model = biranet.create_model(**model)
        self.loss = biranet.GradingLoss(weight_scale="unit")
        self.validated = []

    def training_step(self, batch, _):
        images, grades, _ = batch
        return self.loss(self.model(images).logits, grades)

    def validation_step(self, batch, _):
        images, grades, patients = batch
        self.validated.append((grades, self.model(images).logits.softmax(dim=1), patients))

    def on_validation_epoch_end(self):
        grades, probabilities, patients = (torch.cat(each) for each in zip(*self.validated, strict=True))
        self.validated.clear()
        metrics = biranet.measure(grades, probabilities=probabilities, groups=patients)
        self.log("kappa", metrics["quadratic_weighted_kappa"])

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)


lightning.seed_everything(0, verbose=False)
grades, patients = torch.arange(20) % 5, torch.arange(20) // 2
photos = np.stack([biranet.draw_photo(int(grade), seed, 64, 64) for seed, grade in enumerate(grades)])
images = torch.from_numpy(photos).permute(0, 3, 1, 2) / 255  # here drawn, not normalized and far too small
data = TensorDataset(images, grades, patients)
train_photos, validation_photos = DataLoader(data, batch_size=10, shuffle=True), DataLoader(data, batch_size=10)

module = GradingModule(model_name="biranet", backbone="test_resnet", pretrained=False)
trainer = lightning.Trainer(
    max_epochs=2,
    accelerator="cpu",
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(module, train_photos, validation_photos)
print(f"kappa {trainer.callback_metrics['kappa']:.3f} after {trainer.current_epoch} epochs")
