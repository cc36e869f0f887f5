package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// How does etcd run here? As a library, from the one file that its --config-file names
// (the same flag as the real etcd's, so that either binary can be started the same way).
func etcd(args []string) int {
	if len(args) != 2 || args[0] != "--config-file" {
		fmt.Fprintln(os.Stderr, "etcd: usage: etcd --config-file FILE")
		return 2
	}
	config, err := embed.ConfigFromFile(args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd: the configuration cannot be read:", err)
		return 1
	}
	server, err := embed.StartEtcd(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd: cannot start:", err)
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-server.Server.ReadyNotify():
	case <-server.Server.StopNotify():
		return 1
	case <-time.After(time.Minute):
		fmt.Fprintln(os.Stderr, "etcd: not ready after one minute")
		return 1
	}
	select {
	case <-stop:
		server.Close()
		return 0
	case err := <-server.Err():
		fmt.Fprintln(os.Stderr, "etcd: stopped:", err)
		return 1
	}
}
