"""Read what a training wrote for TensorBoard, whose curves are those of history.jsonl."""

import json
import tempfile
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

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
biranet.train(folder / "prepared", folder / "run", config)

board = EventAccumulator(str(folder / "run" / "tensorboard")).Reload()
for name in board.Tags()["scalars"]:
    print(name, ", ".join(f"{each.value:.4f}" for each in board.Scalars(name)))
history = [json.loads(line) for line in (folder / "run" / "history.jsonl").read_text().splitlines()]
print("the same, to more digits:", [row["validation_loss"] for row in history])
