"""Names that people know from KubeRay, Ray Serve and vLLM, with what the resource has for them.

They are unknown fields here; the hint saves the search. Among them are KubeRay's deprecated ones, which it still takes
and ignores, and Ray's former ones.
"""

from typing import Final

HINTS: Final = {
    # KubeRay
    "rayClusterConfig": "the operator renders it; use spec.ray, spec.head and spec.workers",
    "serveConfigV2": "the operator renders it; use spec.apps",
    "headGroupSpec": "use spec.head",
    "workerGroupSpecs": "use spec.workers",
    "serviceUnhealthySecondThreshold": "KubeRay ignores it; use healthCheck of a deployment",
    "deploymentUnhealthySecondThreshold": "KubeRay ignores it; use healthCheck of a deployment",
    "enableInTreeAutoscaling": "use autoscaler, or a minReplicas below maxReplicas",
    "autoscalerOptions": "use spec.autoscaler",
    "gcsFaultToleranceOptions": "use head.faultTolerance",
    "rayStartParams": "the operator renders it; num-cpus of the head is head.cpusForReplicas",
    "upgradeStrategy": "use spec.upgrade",
    "rayVersion": "use spec.ray.version",
    "groupName": "use name",
    "numOfHosts": "use hosts",
    "template": "use podTemplate, which is merged into the rendered Pod template",
    "scaleStrategy": "Ray's autoscaler has it",
    "workersToDelete": "Ray's autoscaler has it",
    # Kubernetes
    "env": "use spec.ray.env",
    "environment": "use spec.ray.env",
    "imagePullPolicy": "use spec.ray.imagePullPolicy",
    "image": "use spec.ray.image",
    # KServe and KubeAI
    "predictor": "use spec.apps",
    "modelFormat": "leave it out: an app says by its kind what runs the model",
    "storageUri": "use source",
    "canaryTrafficPercent": "use a trafficSplit app",
    "resourceProfile": "use accelerator",
    "targetRequests": "use autoscaling.targetOngoingRequests",
    "minReplica": "use autoscaling.minReplicas",
    # Of an earlier version
    "kuberayNamespace": "leave it out; the chart's value kuberayNamespace sets it for all pipelines",
    # Ray Serve, in its own spelling
    "num_replicas": "use replicas",
    "max_concurrent_queries": "use maxOngoingRequests",
    "maxConcurrentQueries": "use maxOngoingRequests",
    "max_ongoing_requests": "use maxOngoingRequests",
    "target_num_ongoing_requests_per_replica": "use autoscaling.targetOngoingRequests",
    "target_ongoing_requests": "use targetOngoingRequests",
    "smoothing_factor": "use upscaleFactor and downscaleFactor",
    "upscale_smoothing_factor": "use upscaleFactor",
    "downscale_smoothing_factor": "use downscaleFactor",
    "ray_actor_options": "use resources",
    "num_cpus": "use cpus",
    "num_gpus": "use gpus",
    "import_path": "use importPath",
    "runtime_env": "use runtimeEnv",
    "placement_group_strategy": "use placement",
    # vLLM and Ray Serve LLM
    "tensor_parallel_size": "use tensorParallelSize",
    "pipeline_parallel_size": "use pipelineParallelSize",
    "max_model_len": "use engine.maxModelLength",
    "gpu_memory_utilization": "use engine.gpuMemoryUtilizationPercent, an integer",
    "engine_kwargs": "use engine; engine.extra takes arguments that have no field",
    "accelerator_type": "use accelerator.type",
    "model_loading_config": "use name and source",
}

# How texts of a certain form look, by the name of their field.
EXAMPLES: Final = {
    "version": "2.60.0, the version in the image",
    "routePrefix": "/chat, without a slash at the end",
    "host": "chat.example.com, without https:// and path",
    "importPath": "my_module:build",
    "repository": "Qwen/Qwen3-8B",
    "uri": "hf://Qwen/Qwen3-8B, pvc://claim/folder or s3://bucket/folder",
    "cidr": "10.0.0.0/8",
    "partition": "1g.10gb",
    "resource": "nvidia.com/gpu: KubeRay counts those that end in gpu",
    "topology": "2x4",
    "address": "redis.example:6379",
}
# Where people have a model from that is on the Hugging Face hub.
HUB: Final = ("hf://", "https://huggingface.co/", "http://huggingface.co/", "huggingface.co/")
