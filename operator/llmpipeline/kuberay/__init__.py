"""All that we know of KubeRay and of Ray's versions: what they hash, ignore and report. Pure.

Read from KubeRay 1.7.0, unless a module names another source. What is assumed of it stands here:

- `conventions`: what it calls things, what it asks for, and how far it counts.
- `service`: what a RayService and a RayCluster report of themselves.
- `normal_form`, `cluster_spec`: what it counts as the same cluster, and what makes it build a second one.
- `live_patch`: what it does not carry over to a live cluster, as a patch.
- `release`: which versions there are, and how they differ.
- `ray_versions`: the same of Ray.

And what it does by itself, so that others leave it out or put it in:

- It sets probes that fit its own version and the Ray version (a health check over HTTP from Ray 2.53, the serving
  proxy's on workers). A second set would only override them, so `render.pods` has none.
- It mounts a /dev/shm as large as the container's memory, so `render.pods` has none.
- It takes the first container of a Pod for Ray's, so `render.strategic_merge` puts new ones after it.
- It writes the whole RayService back when it adds its finalizer, with the zero values of its Go types.
  `render.ray_cluster` renders these from the start, so that this write changes no field and the next apply does not
  conflict.
- It compares `serveConfigV2` as a string and sends it to Ray again when it changed, so `render.serve_config` always
  writes the same bytes.
- It rounds the CPUs of a node up to whole cores, so `plan.capacity.groups` counts whole cores.
- It creates a Gateway and an HTTPRoute for an incremental upgrade, and only these see both clusters, so
  `checks.cluster` rejects others.
- Its own NetworkPolicy is alpha and keeps its own operator out, so `render.network_policy` has policies that let in
  and out what a RayService needs to get ready.
"""
