"""Networks that score traits. Each is a head on a backbone, and any of them takes any input."""

from personality.models.base import TraitRegressor
from personality.models.cam_cnn import CamCNN
from personality.models.dan import DAN
from personality.models.joint import Joint
from personality.models.joint_ridge import JointRidge
from personality.models.linear import Linear
from personality.models.regular_cnn import RegularCNN
from personality.models.ridge import Ridge

__all__ = ["DAN", "CamCNN", "Joint", "JointRidge", "Linear", "RegularCNN", "Ridge", "TraitRegressor"]
