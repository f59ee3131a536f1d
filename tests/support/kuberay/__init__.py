"""KubeRay as tests know it: its CRDs, the rules in its code, and RayServices to change."""
