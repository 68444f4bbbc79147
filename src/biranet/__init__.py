"""Grade diabetic retinopathy from fundus photographs with BiRA-Net."""
