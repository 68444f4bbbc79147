"""Train BiRA-Net with the grading loss in a loop of your own, here on drawn photographs."""

import numpy as np
import timm
import torch

import biranet

torch.manual_seed(0)
# A real training takes backbone="resnet50", pretrained=True, freeze="stage2", and photographs of 610 px.
model = biranet.create_model("biranet", backbone="test_resnet", pretrained=False)
expected = timm.get_pretrained_cfg("test_resnet")  # how the backbone's weights want their images
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

grades = torch.arange(10) % 5
photos = np.stack([biranet.draw_photo(int(grade), seed, 96, 96) for seed, grade in enumerate(grades)])
images = torch.from_numpy(photos).permute(0, 3, 1, 2) / 255  # (B, 3, H, W), in [0, 1]
mean, std = (torch.tensor(each)[:, None, None] for each in (expected.mean, expected.std))
images = (images - mean) / std

for step in range(12):
    output = model.train()(images)
    loss = biranet.grading_loss(output.logits, grades, weight_scale="unit")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 4 == 3:
        print(f"step {step + 1}: loss {loss.item():.3f}, attention {tuple(output.attention.shape)}")
