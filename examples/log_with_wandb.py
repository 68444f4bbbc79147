"""Log a training with Weights & Biases, here without account and network: pip install wandb."""

import tempfile
from pathlib import Path

import wandb

import biranet
from biranet.photos.drawn.synthetic import draw_folder
from biranet.photos.folder import prepare_folder

folder = Path(tempfile.mkdtemp())
labels = draw_folder(folder / "photos", 40, seed=1, width_px=160, height_px=128)
# As by: biranet prepare photos prepared --labels photos/labels.csv --size 64
prepare_folder(folder / "photos", folder / "prepared", labels=labels, size_px=64, workers=0)

config = biranet.TrainConfig(
    model=biranet.ModelConfig(backbone="test_resnet", pretrained=False, freeze="none"),
    data=biranet.DataConfig(image_size=64, batch_size=8, workers=0),
    epochs=2,
    device="cpu",
)
with wandb.init(mode="offline", dir=folder, project="biranet", config={"lr": config.optimizer.lr}) as logged:

    def on_epoch(result):
        logged.log(result.metrics, step=result.epoch)

    biranet.train(folder / "prepared", folder / "run", config, on_epoch=on_epoch)
    kappa = logged.summary["validation_kappa"]
print(f"last kappa {kappa:.3f}; send it with: wandb sync {Path(logged.dir).parent}")
