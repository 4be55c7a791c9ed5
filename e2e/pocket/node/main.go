// Command node is every program of a small Kubernetes cluster in one binary:
// etcd, the control plane, the node agents, CoreDNS and Helm.
//
// Which one runs is decided by the name the binary is called by (a link named
// kubelet is the kubelet), or else by the first argument (node kubelet ...).
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	// CoreDNS finds its plugins by import; these are the ones a cluster's
	// DNS uses, without the clouds' own.
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	helm "helm.sh/helm/v4/pkg/cmd"
	"helm.sh/helm/v4/pkg/kube"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubeconfigs with an auth provider
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // build version metric
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// programs maps a name to the program it starts. A program reads os.Args and
// returns the exit code.
var programs = map[string]func() int{
	"etcd":       func() int { etcdmain.Main(os.Args); return 0 },
	"coredns":    func() int { coremain.Run(); return 0 },
	"helm":       runHelm,
	"kube-proxy": func() int { return run(proxy.NewProxyCommand()) },
	"kube-apiserver": func() int {
		return run(apiserver.NewAPIServerCommand())
	},
	"kube-controller-manager": func() int {
		return run(controllermanager.NewControllerManagerCommand())
	},
	"kube-scheduler": func() int {
		return run(scheduler.NewSchedulerCommand())
	},
	"kubelet": func() int {
		return run(kubelet.NewKubeletCommand(context.Background()))
	},
}

func run(command *cobra.Command) int { return cli.Run(command) }

// runHelm does what Helm's own main does. Fields Helm writes belong to the
// manager "helm", however the binary is called.
func runHelm() int {
	kube.ManagedFieldsManager = "helm"
	command, err := helm.NewRootCmd(os.Stdout, os.Args[1:], helm.SetupLogging)
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 1
	}
	if err := command.Execute(); err != nil {
		if failure, ok := err.(helm.CommandError); ok {
			return failure.ExitCode
		}
		return 1
	}
	return 0
}

func main() {
	program, ok := programs[filepath.Base(os.Args[0])]
	if !ok && len(os.Args) > 1 {
		program, ok = programs[os.Args[1]]
		os.Args = os.Args[1:]
	}
	if !ok {
		names := make([]string, 0, len(programs))
		for name := range programs {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintln(os.Stderr, "usage: node PROGRAM [ARG...], where PROGRAM is one of", names)
		os.Exit(2)
	}
	os.Exit(program())
}
