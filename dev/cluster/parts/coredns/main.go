// Cluster DNS: CoreDNS with the plugins that the cluster's Corefile names, and no others.
//
// The full program takes four minutes to compile, most of it for clouds' and forwarders'
// plugins; there is nothing to forward to from the node.
package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() { coremain.Run() }
