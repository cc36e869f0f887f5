"""Where the generated messages register their names.

Not in protobuf's default pool: a name can be there once, and a model's own code may import another
client of the same protocol (tritonclient, a health check) into this process.
"""

from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
