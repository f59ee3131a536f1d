-- Argo CD's health check of an LLMPipeline, whose status is in kstatus format. It needs no library of Lua.
-- docs/how-to/gitops.md says how to install it.
--
-- Degraded means that something failed, even if the operator tries again by itself: Argo CD says the same of a Pod whose
-- image cannot be pulled. It ends a sync of several waves. Progressing means that nothing is known to have failed: a Pod
-- waits for a node, a model loads, a second cluster starts. A pipeline that is being deleted is Progressing for Argo CD
-- itself, without this check.

-- Reasons of Ready that are failures. One that this check does not know, perhaps of a newer operator, is Progressing.
local failures = {AppsFailed = true, AppsUnsteady = true, PodsFailing = true}

local status = obj.status or {}
local generation = obj.metadata.generation

-- The condition, or nothing if it is about an older generation.
local function newest(kind)
  for _, condition in ipairs(status.conditions or {}) do
    if condition.type == kind and condition.observedGeneration == generation then
      return condition
    end
  end
  return {}
end

local function health(code, message)
  return {status = code, message = message or ""}
end

local stalled, applied, reconciling, ready = newest("Stalled"), newest("Applied"), newest("Reconciling"), newest("Ready")

if status.observedGeneration ~= generation then
  return health("Progressing", "The operator has not processed the newest generation yet.")
end
-- Nothing changes until somebody acts, even if the version before still answers.
if stalled.status == "True" then
  return health("Degraded", stalled.message)
end
-- Before Ready, which may be older if the operator has a defect. While an earlier RayService of this name is deleted,
-- the operator only waits.
if applied.status == "False" and applied.reason ~= "Terminating" then
  return health("Degraded", applied.message)
end
-- Only if nothing runs any more: until then, and again when suspend is false, the pipeline is Progressing.
if (obj.spec or {}).suspend and ready.reason == "Suspended" and reconciling.status ~= "True" then
  return health("Suspended", ready.message)
end
if ready.status == "True" then
  return health("Healthy", ready.message)
end
return health(failures[ready.reason] and "Degraded" or "Progressing", ready.message)
